//! The formula of each rule, filter and attack in TeX, for the book's reference.
//!
//! Rows are x₁ … xₙ, of which f may be hostile; k counts coordinates; x̄ and σ are the mean and the
//! standard deviation of the honest rows. What a formula leaves open (ties, starts, what an even
//! number of rows does) stands in the head of the entry's file.

/// A name and its formula.
pub(super) type Formula = (&'static str, &'static str);

/// The formula of `name` in one of the lists below.
pub(super) fn of(list: &[Formula], name: &str) -> Option<&'static str> {
    list.iter().find(|(known, _)| *known == name).map(|(_, tex)| *tex)
}

/// Of rules and the stages around them.
pub(super) static RULES: &[Formula] = &[
    ("average", r"\frac{1}{n} \sum_{i=1}^{n} x_i"),
    ("sum", r"\sum_{i=1}^{n} x_i"),
    ("majority", r"a_k = \operatorname{sgn} \sum_{i=1}^{n} \operatorname{sgn}(x_{ik})"),
    ("median", r"a_k = \operatorname{median}(x_{1k}, \dots, x_{nk})"),
    ("trimmed-mean", r"a_k = \frac{1}{n - 2f} \sum_{i=f+1}^{n-f} x_{(i)k}"),
    (
        "phocas",
        r"a_k = \frac{1}{n - f} \sum_{i \in N_k} x_{ik}, \quad N_k: \text{ the } n - f \text{ values nearest to the trimmed mean}",
    ),
    (
        "meamed",
        r"a_k = \frac{1}{n - f} \sum_{i \in N_k} x_{ik}, \quad N_k: \text{ the } n - f \text{ values nearest to the median}",
    ),
    (
        "krum",
        r"x_{i^*}, \quad i^* = \arg\min_i \sum_{j \in N_i} \|x_i - x_j\|^2, \quad |N_i| = n - f - 2",
    ),
    (
        "multi-krum",
        r"\frac{1}{m} \sum_{i \in S} x_i, \quad S: \text{ the } m \text{ least of } \sum_{j \in N_i} \|x_i - x_j\|^2, \quad |N_i| = n - f - 2",
    ),
    (
        "bulyan",
        r"a_k = \frac{1}{\beta} \sum_{s \in N_k} s_k, \quad N_k: \text{ the } \beta = \theta - 2f \text{ of } \theta \text{ selected vectors nearest to their median}",
    ),
    (
        "mda",
        r"\frac{1}{n - f} \sum_{i \in S} x_i, \quad S = \arg\min_{|S| = n - f} \max_{i, j \in S} \|x_i - x_j\|",
    ),
    (
        "smea",
        r"\frac{1}{n - f} \sum_{i \in S} x_i, \quad S = \arg\min_{|S| = n - f} \lambda_{\max}(\operatorname{Cov}_S)",
    ),
    (
        "caf",
        r"c_i \leftarrow c_i \left(1 - \frac{\tau_i}{\max_j \tau_j}\right), \quad \tau_i = \langle x_i - \mu_c, v_c \rangle^2, \quad \text{while } \sum_i c_i > n - 2f",
    ),
    (
        "dnc",
        r"\frac{1}{|S|} \sum_{i \in S} x_i, \quad S: \text{ rows outside the } \lceil c f \rceil \text{ greatest } \langle x_i - \mu, v \rangle^2 \text{ of every sketch}",
    ),
    (
        "faba",
        r"f \text{ times: } S \leftarrow S \setminus \{\arg\max_{i \in S} \|x_i - \mu_S\|\}; \quad \mu_S = \frac{1}{|S|} \sum_{i \in S} x_i",
    ),
    (
        "aksel",
        r"\frac{1}{m} \sum_{i \in S} x_i, \quad S: \text{ the } m = \lfloor (n + 1)/2 \rfloor \text{ rows nearest to the median}",
    ),
    (
        "cge",
        r"\frac{1}{n - f} \sum_{i \in S} x_i, \quad S: \text{ the } n - f \text{ rows of least } \|x_i\|",
    ),
    (
        "signguard",
        r"\frac{1}{|S|} \sum_{i \in S} x_i \min\left(1, \frac{M}{\|x_i\|}\right), \quad M = \operatorname{median}_i \|x_i\|, \quad S = S_{\text{norm}} \cap S_{\text{signs}}",
    ),
    (
        "gas",
        r"\frac{1}{n - f} \sum_{i \in S} x_i, \quad S: \text{ the least } s_i = \sum_{g=1}^{p} \|x_i^{(g)} - R(x^{(g)})\|",
    ),
    (
        "lasa",
        r"\frac{1}{|S|} \sum_{i \in S} y_i, \quad S = \{i: |{\|y_i\|} - \operatorname{median}| \le \lambda_n \sigma_n, \ |p_i - \operatorname{median}| \le \lambda_s \sigma_s\}, \quad y_i = \operatorname{top}(x_i)",
    ),
    (
        "fedseca",
        r"a_k = \operatorname{mean}\{y_{ik} \ne 0: \operatorname{sgn}(y_{ik}) = s_k\}, \quad s_k = \operatorname{sgn} \sum_i \rho_i \operatorname{sgn}(x_{ik})",
    ),
    (
        "monna",
        r"\frac{1}{n - f} \sum_{i \in S} x_i, \quad S: \text{ the } n - f \text{ rows nearest to the trusted row}",
    ),
    ("geometric-median", r"\arg\min_z \sum_{i=1}^{n} \|z - x_i\|"),
    (
        "rfa",
        r"v \leftarrow \frac{\sum_i w_i x_i}{\sum_i w_i}, \quad w_i = \frac{1}{\max(\nu, \|v - x_i\|)}, \quad T \text{ times}",
    ),
    (
        "centred-clipping",
        r"v \leftarrow v + \frac{1}{n} \sum_{i=1}^{n} (x_i - v) \min\left(1, \frac{\tau}{\|x_i - v\|}\right), \quad L \text{ times}",
    ),
    (
        "sequential-clipping",
        r"v \leftarrow v + \frac{1}{|B|} \sum_{i \in B} (x_i - v) \min\left(1, \frac{\tau}{\|x_i - v\|}\right), \quad \text{bucket } B \text{ by bucket}",
    ),
    (
        "fltrust",
        r"\frac{\sum_i t_i \frac{\|g_0\|}{\|x_i\|} x_i}{\sum_i t_i}, \quad t_i = \max(0, \cos(x_i, g_0))",
    ),
    (
        "zeno",
        r"\frac{1}{n - b} \sum_{i \in S} x_i, \quad S: \text{ the greatest } f_r(\theta) - f_r(\theta - \gamma x_i) - \rho \|x_i\|^2",
    ),
    (
        "safeguard",
        r"\xi + \frac{1}{|G|} \sum_{i \in G} x_i, \quad i \in G \iff \|A_i - A_{\text{med}}\| \le 2 T_h \text{ and } \|B_i - B_{\text{med}}\| \le 2 T'_h",
    ),
    (
        "single-safeguard",
        r"\xi + \frac{1}{|G|} \sum_{i \in G} x_i, \quad i \in G \iff \|B_i - B_{\text{med}}\| \le 2 T_h",
    ),
    (
        "byzantine-sgd",
        r"\frac{1}{m} \sum_{i \in G} g_i, \quad |A_i - A_{\text{med}}| \le T_A, \ \|B_i - B_{\text{med}}\| \le 2 T_B, \ \|g_i - g_{\text{med}}\| \le 4 V",
    ),
    (
        "draco",
        r"\frac{r}{n} \sum_{g=1}^{n/r} \operatorname{majority}\{x_i: i \text{ in group } g\}, \quad r \ge 2f + 1",
    ),
    (
        "draco-cyclic",
        r"\sum_{i \notin E} v_i x_i = \frac{1}{n} \sum_{j=1}^{n} g_j, \quad x_i = \sum_{k<r} c_k\, g_{(i+k) \bmod n}, \quad E: \text{ the fewest rows without which the others agree}",
    ),
    (
        "reactive",
        r"\frac{1}{|L|} \sum_{i \in L} x_i, \text{ with chance } q \text{ that of draco; } L: \text{ whom no check has caught}",
    ),
    ("rsa", r"\lambda \sum_{i=1}^{n} \operatorname{sgn}(x_i)"),
    (
        "per-block",
        r"R(x_1, \dots, x_n) = \left(R(x^{(1)}), \dots, R(x^{(B)})\right), \quad x^{(b)}: \text{ the coordinates of block } b",
    ),
    (
        "nnm",
        r"y_i = \frac{1}{n - f} \sum_{j \in N_i} x_j, \quad N_i: \text{ the } n - f \text{ rows nearest to } x_i",
    ),
    (
        "bucketing",
        r"y_b = \frac{1}{|B_b|} \sum_{i \in B_b} x_i, \quad B_1, \dots, B_{\lceil n/s \rceil}: \text{ a random partition into buckets of } s",
    ),
    ("clipping", r"y_i = x_i \min\left(1, \frac{c}{\|x_i\|}\right)"),
    (
        "arc",
        r"y_i = x_i \min\left(1, \frac{C}{\|x_i\|}\right), \quad C: \text{ the } (k + 1)\text{-th greatest norm}, \quad k = \lfloor 2 \tfrac{f}{n} (n - f) \rfloor",
    ),
    (
        "exclusion",
        r"\{x_i: \|x_i\| \le c\}, \quad c = 3 \operatorname{median}_j \|x_j\|, \quad \text{at most } f \text{ rows less}",
    ),
    (
        "foundation",
        r"x_1, \dots, x_n \text{ and } m \text{ times } x_{i^*}, \quad i^* = \arg\max_i \min(\|x_i - x_{\max}\|, \|x_i - x_{\min}\|)",
    ),
    (
        "ctma",
        r"\frac{1}{n - f} \sum_{i \in S} x_i, \quad S: \text{ the } n - f \text{ rows nearest to the rule's answer}",
    ),
];

/// Of filters: V is the server's validation gradient, γ the learning rate, τ the staleness.
pub(super) static FILTERS: &[Formula] = &[
    ("async-sgd", r"\theta \leftarrow \theta - \gamma g"),
    (
        "zeno++",
        r"\gamma \langle V, g \rangle - \rho \|g\|^2 \ge -\gamma \varepsilon, \quad g = \frac{\|V\|}{\|\tilde g\|} \tilde g",
    ),
    (
        "zeno+",
        r"f_s(\theta) - f_s(\theta - \gamma g) - \rho \|g\|^2 \ge -\gamma \varepsilon, \quad g = \frac{\|V\|}{\|\tilde g\|} \tilde g",
    ),
    (
        "kardam",
        r"\frac{\|g - g'\|}{\|\theta - \theta'\|} \le \text{the } \tfrac{n - f}{n} \text{ quantile}; \quad \theta \leftarrow \theta - \gamma \Lambda(\tau) g",
    ),
    (
        "kardam-reduced",
        r"\frac{\|g - g_{\text{last}}\|}{\|\theta - \theta_{\text{last}}\|} \le \text{the } \tfrac{n - f}{n} \text{ quantile}",
    ),
    (
        "basgd",
        r"R(h_1, \dots, h_B), \quad h_b = \operatorname{mean}\{g \text{ from workers } w \equiv b \bmod B\}",
    ),
    (
        "weighted",
        r"R_\omega(g_1, \dots, g_n), \quad \omega_i: \text{ how often worker } i \text{ sent}",
    ),
];

/// Of attacks: the row that a hostile worker sends.
pub(super) static ATTACKS: &[Formula] = &[
    ("none", r"x_i = g_i"),
    ("sign-flip", r"-s \, g_i"),
    ("blind-inversion", r"-m_i, \quad m_i: \text{ what the worker would have sent}"),
    ("label-flip", r"\nabla L(\theta; z, C - 1 - y)"),
    (
        "backdoor",
        r"s \, \nabla L(\theta; z', y'), \quad (z', y') = (z \text{ with the patch}, t) \text{ with probability } p, \text{ else } (z, y)",
    ),
    ("bit-flip", r"g_i \text{ with chosen bits of chosen coordinates inverted}"),
    ("gaussian", r"x \sim \mathcal N(\mu, \sigma^2 I)"),
    ("zero", r"0"),
    ("constant", r"(c, \dots, c)"),
    ("non-finite", r"\text{NaN}, \ +\infty \text{ or } -\infty \text{ in each coordinate}"),
    ("extreme", r"\pm \text{ the largest or the least float in each coordinate}"),
    (
        "alie",
        r"\bar x - z \sigma, \quad z = \Phi^{-1}\left(\frac{n - f - s}{n - f}\right), \quad s = \lfloor n/2 + 1 \rfloor - f",
    ),
    ("variance", r"\bar x - 0.3 \, \sigma"),
    ("ipm", r"-\varepsilon \bar x"),
    ("empire", r"(1 - k) \bar x"),
    ("safeguard-attack", r"-\kappa \bar x"),
    (
        "mimic",
        r"x_{i^*}, \quad i^* = \arg\max_i \langle x_i, z \rangle, \quad z: \text{ the direction of most variance}",
    ),
    (
        "min-max",
        r"\bar x + \gamma p, \quad \gamma \text{ greatest with } \max_i \|b - x_i\| \le \max_{i,j} \|x_i - x_j\|",
    ),
    (
        "min-sum",
        r"\bar x + \gamma p, \quad \gamma \text{ greatest with } \sum_i \|b - x_i\|^2 \le \max_i \sum_j \|x_i - x_j\|^2",
    ),
    (
        "fang",
        r"\text{beyond } \max_i x_{ik} \text{ where } s_k = -1, \text{ below } \min_i x_{ik} \text{ where } s_k = 1, \quad s = \operatorname{sgn} \bar x",
    ),
    ("anti-cge", r"-c \sum_{i \in S} x_i, \quad S: \text{ the honest rows that CGE keeps}"),
    ("single-coordinate", r"\bar x + c \, e_k"),
    ("delayed-gradient", r"g_i(t - D)"),
    (
        "relocation",
        r"\pi m + (1 - \pi) \bar x + z u, \quad \angle(u, r) = \theta, \quad r = \lambda m + (1 - \lambda) \bar x",
    ),
    (
        "time-coupled-alie",
        r"\bar x + z \, s \odot \sigma, \quad s \in \{-1, 1\}^d \text{ the same in every round}",
    ),
    (
        "poisoned-fl",
        r"c \|g\| \, v \odot s, \quad s \in \{-1, 1\}^d \text{ the same in every round}",
    ),
    ("cancel", r"-\sum_{j \ne i} x_j"),
    ("saddle-point", r"t + c (t - \bar x), \quad t = \kappa (\theta - \theta_0)"),
    (
        "kill",
        r"\text{a total of votes } t_k \text{ that makes } \sum_{\text{honest}} s_{ik} + t_k = 0, \text{ or turns it by one}",
    ),
    ("oppose", r"-\operatorname{sgn} \sum_{\text{honest}} \operatorname{sgn}(x_{ik})"),
    (
        "kill-wire",
        r"\text{the least total } t_k \text{ that turns coordinate } k \text{ where a tie counts as } +1",
    ),
    ("random-signs", r"s_k \in \{-1, 1\} \text{ by a fair coin}"),
    ("stale-signs", r"\operatorname{sgn} g_i(t - D)"),
    ("mixed", r"f = f_1 + \dots + f_m, \quad \text{attack } j \text{ for } f_j \text{ workers}"),
    (
        "worst",
        r"\arg\max_{b} J(R(x_1, \dots, x_{n-f}, b_1, \dots, b_f)), \quad b_j = \bar x + \sum_k a_{jk} u_k",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn complete<'a>(list: &[Formula], names: impl Iterator<Item = &'a str>) {
        let names: Vec<&str> = names.collect();
        for name in &names {
            let count = list.iter().filter(|(known, _)| known == name).count();
            assert_eq!(count, 1, "{name} needs one formula in cli/src/catalogue/formulas.rs");
        }
        for (known, tex) in list {
            assert!(names.contains(known), "no entry is called {known}");
            let depth = tex.chars().try_fold(0_i32, |depth, sign| match sign {
                '{' => Some(depth + 1),
                '}' => (depth > 0).then_some(depth - 1),
                _ => Some(depth),
            });
            assert_eq!(depth, Some(0), "the braces of {known} do not match: {tex}");
            assert!(!tex.contains('$'), "{known}: {tex}");
        }
    }

    #[test]
    fn every_rule_filter_and_attack_has_one_formula() {
        complete(RULES, varangian_rules::ALL.iter().map(|entry| entry.name));
        complete(FILTERS, varangian_rules::FILTERS.iter().map(|entry| entry.name));
        complete(ATTACKS, varangian_attacks::ALL.iter().map(|entry| entry.name));
    }
}

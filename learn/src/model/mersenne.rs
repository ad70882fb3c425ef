//! Other programs' first numbers: the 32-bit Mersenne Twister (Matsumoto & Nishimura 1998) as
//! PyTorch's `manual_seed` and numpy's `random.seed` seed it, and as `uniform_` and `normal` read
//! it. A publication that states its seed has then stated its initial parameters.

const STATE: usize = 624;
const MIDDLE: usize = 397;

/// The generator of `torch.manual_seed(seed)` on a CPU, and of `numpy.random.seed(seed)`.
pub(crate) struct Mersenne {
    state: [u32; STATE],
    next: usize,
}

impl Mersenne {
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = [seed; STATE];
        for k in 1..STATE {
            let last = state[k - 1];
            state[k] = (last ^ last >> 30).wrapping_mul(1_812_433_253).wrapping_add(k as u32);
        }
        Mersenne { state, next: STATE }
    }

    fn turn(&mut self) {
        for k in 0..STATE {
            let high = self.state[k] & 0x8000_0000;
            let y = high | self.state[(k + 1) % STATE] & 0x7fff_ffff;
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[k] = self.state[(k + MIDDLE) % STATE] ^ y >> 1 ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == STATE {
            self.turn();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    /// Fills `out` as `uniform_(-bound, bound)` does: 24 bits a number.
    pub(crate) fn fill(&mut self, bound: f32, out: &mut [f32]) {
        let width = f64::from(bound - -bound);
        for x in out {
            let unit = f64::from(self.word() & 0xff_ffff) / f64::from(1 << 24);
            *x = (unit * width - f64::from(bound)) as f32;
        }
    }

    /// The next two numbers of `numpy.random.normal(0, 1)`, by Marsaglia's polar method.
    pub(crate) fn normals(&mut self) -> [f64; 2] {
        let mut double = || {
            let (high, low) = (f64::from(self.word() >> 5), f64::from(self.word() >> 6));
            2.0 * ((high * 67_108_864.0 + low) / 9_007_199_254_740_992.0) - 1.0
        };
        loop {
            let (a, b) = (double(), double());
            let square = a * a + b * b;
            if square < 1.0 && square != 0.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                return [factor * b, factor * a];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_are_those_of_the_published_program() {
        let mut twister = Mersenne::new(5489);
        assert_eq!([twister.word(), twister.word()], [3_499_211_612, 581_869_302]);
        let ten_thousandth = (2..10_000).map(|_| twister.word()).last();
        assert_eq!(ten_thousandth, Some(4_123_659_995));
    }

    #[test]
    fn a_linear_layer_starts_where_pytorchs_does() {
        // torch.manual_seed(1); torch.nn.Linear(3, 2)
        let mut twister = Mersenne::new(1);
        let (bound, mut weight, mut bias) = (1.0 / 3.0f32.sqrt(), [0.0; 6], [0.0; 2]);
        twister.fill(bound, &mut weight);
        twister.fill(bound, &mut bias);
        let published =
            [0.297_487_35, -0.254_829_82, -0.111_925_98, 0.270_990_28, -0.543_538_8, 0.346_246_93];
        assert_eq!(weight, published);
        assert_eq!(bias, [-0.118_775_56, 0.293_723_4]);
    }

    #[test]
    fn normals_are_numpys() {
        // numpy.random.seed(8005); numpy.random.normal(2, 1, 20)
        let mut twister = Mersenne::new(8005);
        let first = [twister.normals(), twister.normals()];
        let published =
            [1.3780622388064014, 3.387892496794408, 0.9268915725361953, 1.884490647124919];
        for (x, y) in first.as_flattened().iter().zip(published) {
            assert!((2.0 + x - y).abs() < 1e-12, "{x} {y}");
        }
    }
}

// Few-sample statistics, as `varangian` has them.

export const mean = (values: number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

/** ln Γ(x) for x > 0 (Lanczos). */
function logGamma(x: number): number {
  const c = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3,
    -5.395239384953e-6];
  const t = x + 5.5 - (x + 0.5) * Math.log(x + 5.5);
  return -t + Math.log(2.5066282746310005 * c.reduce((sum, one, k) => sum + one / (x + 1 + k), 1.000000000190015) / x);
}

/** The regularised incomplete beta function, by its continued fraction (Lentz). */
function beta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - beta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  const tiny = 1e-300, bounded = (value: number) => Math.abs(value) < tiny ? tiny : value;
  let c = 1, d = 1 / bounded(1 - (a + b) * x / (a + 1)), f = d;
  for (let m = 1; m < 300; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / bounded(1 + even * d); c = bounded(1 + even / c); f *= d * c;
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / bounded(1 + odd * d); c = bounded(1 + odd / c);
    const change = d * c;
    f *= change;
    if (Math.abs(change - 1) < 1e-14) break;
  }
  return front * f;
}

/** Both tails of Student's t beyond |t|. */
export const studentTails = (t: number, freedom: number): number => beta(freedom / (freedom + t * t), freedom / 2, 0.5);

const quantiles = new Map<number, number>();
/** The 97.5 % quantile of Student's t, by bisection. */
export function student(freedom: number): number {
  let known = quantiles.get(freedom);
  if (known === undefined) {
    let low = 0, high = 100;
    for (let k = 0; k < 80; k++) {
      const middle = (low + high) / 2;
      if (studentTails(middle, freedom) > 0.05) low = middle; else high = middle;
    }
    known = (low + high) / 2;
    quantiles.set(freedom, known);
  }
  return known;
}

export interface Interval { mean: number; half: number }
/** The mean and half of Student's 95 % interval; of fewer than `least` values there is none. */
export function interval(values: number[], least = 3): Interval {
  const k = values.length, middle = mean(values);
  if (k < Math.max(2, least)) return { mean: middle, half: NaN };
  const variance = values.reduce((sum, x) => sum + (x - middle) ** 2, 0) / (k - 1);
  return { mean: middle, half: student(k - 1) * Math.sqrt(variance / k) };
}

/** Euclidean norm of all gradients: the root of `squaredNorm`. */
export function globalNorm(gradients: Float32Array): number {
  return Math.sqrt(squaredNorm(gradients));
}

/**
 * The sum of all gradients' squares, in float64.
 *
 * @param gradients f32 `[N]`, the gradient arena, or one learner's part of it: the sums of parts add up
 * @returns not finite when any gradient is not: the learners then skip the step
 */
export function squaredNorm(gradients: Float32Array): number {
  // Four sums, so that the additions of one do not wait for those of another.
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = gradients.length - (gradients.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += gradients[i]! * gradients[i]!;
    b += gradients[i + 1]! * gradients[i + 1]!;
    c += gradients[i + 2]! * gradients[i + 2]!;
    d += gradients[i + 3]! * gradients[i + 3]!;
  }
  for (let i = whole; i < gradients.length; i++) a += gradients[i]! * gradients[i]!;
  return a + b + c + d;
}

/** The factor that brings gradients of this norm to at most `maxNorm`: `min(1, maxNorm / (norm + 1e-6))`. */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}

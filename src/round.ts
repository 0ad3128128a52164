/** Nearest integer, ties to even, as Python's `round`. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Rounds to decimals, exact halves to the even digit, as Python's `round`. */
export function roundDecimals(value: number, decimals: number): number {
  // A double is exactly halfway between two such decimals only as an odd multiple of 2^-(decimals+1).
  const halves = value * 2 ** (decimals + 1);
  if (!Number.isInteger(halves) || halves % 2 === 0) return Number(value.toFixed(decimals));
  const scale = 10 ** decimals;
  return roundHalfEven(value * scale) / scale;
}

/** Text of a number that no other number has: -0 is not 0. */
export function numberText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** Text of a node's attributes that no other attributes of its op have: JSON, but for numbers that JSON lacks. */
export function attributesText(attributes: object): string {
  return JSON.stringify(attributes, (_, value: unknown) => {
    const isInJson = typeof value !== 'number' || (Number.isFinite(value) && !Object.is(value, -0));
    return isInJson ? value : numberText(value);
  });
}

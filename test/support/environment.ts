/** Runs something with variables of the environment that others must not see; undefined takes one away. */
export async function withVariables<T>(
  variables: Readonly<Record<string, string | undefined>>,
  run: () => Promise<T>,
): Promise<T> {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  setVariables(Object.entries(variables));
  try {
    return await run();
  } finally {
    setVariables(before);
  }
}

function setVariables(
  values: readonly (readonly [name: string, value: string | undefined])[],
): void {
  for (const [name, value] of values) {
    if (value === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = value;
  }
}

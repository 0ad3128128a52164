/** Families that a demo's model may be of, by the names of `init --family`. */
export const demoFamilies = [
  'qwen2.5-vl',
  'qwen2-vl',
  'qwen3-vl',
  'qwen3-vl-moe',
  'qwen3',
  'qwen3-moe',
  'llama',
] as const;
export type DemoFamily = (typeof demoFamilies)[number];

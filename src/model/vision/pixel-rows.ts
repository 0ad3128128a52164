import type { Device, Program, View, Workspace } from '../../device/device.ts';
import { staging } from '../../device/host-tensors.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph } from '../../graph/ir.ts';
import { isLevels, LEVELS, patchValues, type PixelValues } from '../../tensor/patch-levels.ts';
import { tensorOf } from '../../tensor/tensor.ts';

/**
 * Copies pixels to a device as patch rows.
 *
 * A device with memory of its own gets 8-bit levels, an eighth to a twenty-fourth of the bytes, and looks their values
 * up itself. The CPU looks them up in one pass over its memory; a graph would take several.
 */
export class PixelRows implements Disposable {
  readonly #device: Device;
  readonly #programs = new Map<string, Program>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Values of pixels on the device, f32 `[N, C·Pt·P·P]`; bit for bit alike on every device. */
  put(pixels: PixelValues, workspace: Workspace): View {
    const { host } = this.#device;
    if (!isLevels(pixels)) return workspace.put(pixels);
    if (host !== null) {
      return host.view(patchValues([pixels], staging(this.#device, workspace))!);
    }
    const { levels, values, frames } = pixels;
    const [, kept = 1, moving = 1, area = 0] = levels.shape;
    const layout = { kept, moving, area, channels: values.shape[0]!, frames };
    const inputs = { levels: workspace.put(levels), values: workspace.put(values) };
    return this.#program(layout).run(inputs, workspace)['rows']!;
  }

  #program(layout: LevelLayout): Program {
    const name = Object.values(layout).join();
    const program = this.#programs.get(name) ?? this.#device.compile(pixelRowsGraph(layout));
    this.#programs.set(name, program);
    return program;
  }

  [Symbol.dispose](): void {
    for (const program of this.#programs.values()) program[Symbol.dispose]();
  }
}

/** Sizes of levels and of the patch rows. */
export interface LevelLayout {
  /** Channels of the levels, 1 where all are alike. */
  readonly kept: number;
  /** Frames of the levels, 1 where all are alike. */
  readonly moving: number;
  /** Pixels of a patch in one frame. */
  readonly area: number;
  readonly channels: number;
  readonly frames: number;
}

/**
 * Looks up each level's value in its channel's table.
 *
 * Inputs: `levels u8 [N, kept, moving, P·P]`, `values f32 [channels, 256]`.
 * Output: `rows f32 [N, channels·frames·P·P]`.
 */
export function pixelRowsGraph({ kept, moving, area, channels, frames }: LevelLayout): Graph {
  const g = new GraphBuilder('pixel-rows');
  const levels = g.cast(g.input('levels', 'u8', ['N', kept, moving, area]), 'i32');
  const values = g.input('values', 'f32', [channels, LEVELS]);
  const table = g.reshape(values, [channels * LEVELS]);
  // Every channel's table begins where that of the one before it ends.
  const starts = Array.from({ length: channels }, (_, channel) => channel * LEVELS);
  const places = g.add(levels, g.constant(tensorOf('i32', [channels, 1, 1], starts)));
  const looked = g.gather(table, places); // [N, channels, moving, P·P]
  const repeated = g.concat(
    Array.from({ length: frames / moving }, () => looked),
    2,
  );
  g.output('rows', g.reshape(repeated, ['N', channels * frames * area]));
  return g.build();
}

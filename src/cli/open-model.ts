/** A checkpoint opened in this thread, for commands that run a model as it is and need no actors. */
import { DEFAULT_KEYS } from '../data/row.ts';
import { SampleBuilder, type SampleOptions } from '../data/sample.ts';
import { sampleOptions, type SampleSettings } from '../data/sample-options.ts';
import { modelDirectory } from '../hub/model.ts';
import { loadCheckpoint, type LoadedCheckpoint } from '../model/checkpoint/checkpoint.ts';
import { placeArena, type AnyArena } from '../model/weights/device-arena.ts';
import type { DeviceChoice } from '../config/compute.ts';
import { chooseDevices } from '../device/choose.ts';
import type { Device } from '../device/device.ts';
import { openDevice } from '../device/open.ts';

/** An opened checkpoint: its weights on a device, and the builder of its samples. */
export interface OpenedModel extends Disposable {
  readonly checkpoint: LoadedCheckpoint;
  readonly device: Device;
  /** The weights as the device computes with them: on a card in the checkpoint's own dtype. */
  readonly arena: AnyArena;
  readonly settings: SampleSettings;
  /** Tokenizer, chat template and processors of the checkpoint, by these settings. */
  readonly samples: SampleOptions;
  readonly builder: SampleBuilder;
}

/** Options of opening a checkpoint, from a command's flags. */
export interface OpenOptions {
  /** `auto` when left out. */
  readonly device: DeviceChoice | undefined;
  readonly threads: number | undefined;
  /** Joined to relative image paths. */
  readonly imageDir: string | undefined;
  /** Further variables of the chat template; none when left out. */
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>> | undefined;
  /** Takes warnings of the checkpoint, its samples and the device. */
  readonly warn: (text: string) => void;
}

/**
 * Opens a checkpoint.
 *
 * Prompts are in the checkpoint's chat template and of any length. Its own processor alone bounds the images.
 *
 * @param model its directory, or its id on the Hugging Face Hub
 * @throws CHECKPOINT_INVALID; DEVICE_MISSING
 */
export async function openModel(model: string, options: OpenOptions): Promise<OpenedModel> {
  const directory = await modelDirectory(model);
  const checkpoint = await loadCheckpoint(directory);
  for (const note of checkpoint.notes) options.warn(note);
  const settings: SampleSettings = {
    ...DEFAULT_KEYS,
    model: checkpoint.config,
    tokenizerPath: directory,
    imageDir: options.imageDir ?? null,
    formatPrompt: null,
    overrideChatTemplate: null,
    applyChatTemplateKwargs: options.chatTemplateKwargs ?? {},
    minPixels: null,
    maxPixels: null,
    videoFps: 2,
    limitImages: 0,
    maxPromptLength: Number.MAX_SAFE_INTEGER,
    maxResponseLength: Number.MAX_SAFE_INTEGER,
  };
  const samples: SampleOptions = {
    ...sampleOptions(settings),
    warn: options.warn,
  };
  const builder = new SampleBuilder(samples);
  const { threads } = options;
  const { devices, note } = chooseDevices(options.device ?? 'auto', 1);
  if (note !== null && options.device !== undefined) options.warn(note);
  const device = openDevice({ device: devices[0]!, ...(threads !== undefined && { threads }) });
  const dtype = checkpoint.config.torchDtype === 'bfloat16' ? 'bf16' : 'f32';
  const arena = placeArena(device, checkpoint.arena, dtype);
  return {
    ...{ checkpoint, device, arena, settings, samples, builder },
    [Symbol.dispose]: () => device[Symbol.dispose](),
  };
}

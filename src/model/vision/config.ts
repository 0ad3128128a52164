/** The vision tower in a `config.json`, and the format of a vision-language model's file. */
import * as t from 'io-ts';
import { decodeJson } from '../../check/json.ts';
import { positive } from '../../check/scalars.ts';
import type { ConfigFormat } from '../architecture.ts';
import { Checks, index, nullable, propsOf, size, under } from '../config-fields.ts';
import { decodeText, textPaths, type DecoderTraits } from '../decoder/config.ts';
import type { TextConfig, VisionConfig } from '../model-config.ts';

/** Codec of the keys that all towers have. Transformers 5 writes the rotary section. */
export const Tower = t.partial({
  hidden_act: t.string,
  in_channels: size,
  patch_size: size,
  temporal_patch_size: size,
  spatial_merge_size: size,
  rope_parameters: nullable(t.partial({ rope_theta: positive, rope_type: t.string })),
});
type Tower = t.TypeOf<typeof Tower>;

/** Traits of the decoder of Qwen2-VL and Qwen2.5-VL, which is Qwen2's. */
export const qwen2Decoder: Partial<DecoderTraits> = {
  qkvBias: true,
  isHeadDimFixed: true,
  rmsNormEps: 1e-5,
  ropeTheta: 1e6,
  mrope: 'sections',
};

const Tokens = t.intersection([
  t.type({ image_token_id: index, video_token_id: index }),
  t.partial({ vision_start_token_id: index, vision_end_token_id: index }),
]);

/** A family's vision tower in `config.json`. */
export interface VisionFormat<C extends t.Mixed> {
  readonly traits: Partial<DecoderTraits>;
  /** Codec of `vision_config`. */
  readonly section: C;
  /** The tower of a section; what is wrong with it goes to `checks`. */
  readonly decode: (section: t.TypeOf<C>, checks: Checks) => VisionConfig;
}

/** The `config.json` of a vision-language model, with the text model's keys at the top or in a section. */
export function visionLanguageFormat<C extends t.Mixed>({
  traits,
  section,
  decode,
}: VisionFormat<C>): ConfigFormat {
  const Section = t.type({ vision_config: section });
  return {
    decode(value, file) {
      const checks = new Checks(file);
      const { text, torchDtype } = decodeText(value, file, traits, checks);
      const outer = decodeJson(t.intersection([Tokens, Section]), value, file);
      const vision = decode(outer.vision_config, checks);
      checkTower(vision, text, checks);
      const tokens = {
        imagePad: outer.image_token_id,
        videoPad: outer.video_token_id,
        visionStart: outer.vision_start_token_id ?? 151652,
        visionEnd: outer.vision_end_token_id ?? 151653,
      };
      for (const [name, id] of Object.entries(tokens)) {
        checks.that(
          id < text.vocabSize,
          `${name} id ${id} is not below vocab_size ${text.vocabSize}`,
        );
      }
      checks.finish();
      return { text, vision, tokens, torchDtype };
    },
    readPaths: (isNested) => [
      ...textPaths(isNested, traits),
      ...propsOf(Tokens),
      ...under('vision_config', propsOf(section)),
    ],
  };
}

/** Refuses sizes of a tower that contradict each other. */
function checkTower(
  { hiddenSize, heads, outHiddenSize, deepstackBlocks }: VisionConfig,
  { hiddenSize: width, layers }: TextConfig,
  checks: Checks,
) {
  checks.that(
    hiddenSize % (4 * heads) === 0,
    `vision_config.hidden_size ${hiddenSize} is not a multiple of 4 x num_heads ${heads}`,
  );
  checks.that(
    outHiddenSize === width,
    `vision_config.out_hidden_size ${outHiddenSize} differs from the decoder's hidden_size ${width}`,
  );
  checks.that(
    deepstackBlocks.length < layers,
    `vision_config.deepstack_visual_indexes has ${deepstackBlocks.length} blocks, for which num_hidden_layers ${layers} is too few`,
  );
}

/** Activations by their names in `hidden_act`. */
const activations = {
  silu: 'silu',
  quick_gelu: 'quickGelu',
  gelu_pytorch_tanh: 'geluTanh',
} as const;

/** The values of a family's tower that its section need not say. */
interface TowerDefaults {
  /** The one value of `hidden_act` that is supported. */
  readonly activation: keyof typeof activations;
  /** Default of `patch_size`. */
  readonly patchSize: number;
}

/** The sizes that all towers have, without what only some have. What no family supports goes to `checks`. */
export function towerConfig(
  tower: Tower,
  { activation, patchSize }: TowerDefaults,
  checks: Checks,
) {
  const { hidden_act: given = activation, rope_parameters: rope } = tower;
  const { rope_theta: theta = 1e4, rope_type: type = 'axial' } = rope ?? {};
  checks.that(
    given === activation,
    `vision_config.hidden_act "${given}" is not supported, only "${activation}"`,
  );
  checks.that(
    theta === 1e4 && ['axial', 'default'].includes(type),
    `vision_config.rope_parameters of type "${type}" and theta ${theta} are not supported, only "axial" and 10000`,
  );
  return {
    inChannels: tower.in_channels ?? 3,
    patchSize: tower.patch_size ?? patchSize,
    temporalPatchSize: tower.temporal_patch_size ?? 2,
    mergeSize: tower.spatial_merge_size ?? 2,
    windows: null,
    activation: activations[activation],
    positionGrid: null,
    deepstackBlocks: [],
    tokensPerSecond: null,
  };
}

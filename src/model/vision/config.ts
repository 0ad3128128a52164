import * as t from 'io-ts';
import { decodeJson } from '../../check/json.ts';
import { positive } from '../../check/scalars.ts';
import type { ConfigFormat } from '../architecture.ts';
import { Checks, index, nullable, propsOf, under } from '../config-fields.ts';
import { decodeText, textPaths, type DecoderTraits } from '../decoder/config.ts';
import type { TextConfig, VisionConfig } from '../model-config.ts';

/** Codec of the rotary section of a vision tower, which transformers 5 writes. */
export const VisionRope = nullable(t.partial({ rope_theta: positive, rope_type: t.string }));

const Tokens = t.intersection([
  t.type({ image_token_id: index, video_token_id: index }),
  t.partial({ vision_start_token_id: index, vision_end_token_id: index }),
]);

/** A family's vision tower in `config.json`. */
export interface VisionFormat<C extends t.Mixed> {
  /** Name in `architectures`. */
  readonly architecture: string;
  readonly traits: DecoderTraits;
  /** Codec of `vision_config`. */
  readonly section: C;
  /** The tower of a section; what is wrong with it goes to `checks`. */
  readonly decode: (section: t.TypeOf<C>, checks: Checks) => VisionConfig;
}

/** The `config.json` of a vision-language model, with the text model's keys at the top or in a section. */
export function visionLanguageFormat<C extends t.Mixed>({
  architecture,
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
      return { architecture, text, vision, tokens, torchDtype };
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

/** Refuses rotary angles of patches that are not those of the towers there are. */
export function checkVisionRope(
  rope: t.TypeOf<typeof VisionRope> | undefined,
  checks: Checks,
): void {
  const { rope_theta: theta = 1e4, rope_type: type = 'axial' } = rope ?? {};
  checks.that(
    theta === 1e4 && ['axial', 'default'].includes(type),
    `vision_config.rope_parameters of type "${type}" and theta ${theta} are not supported, only "axial" and 10000`,
  );
}

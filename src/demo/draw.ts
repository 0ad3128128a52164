/** Pictures like frontal chest X-rays, drawn from signed distances to smooth shapes. */
import type { Rng } from '../rng.ts';
import type { Picture } from '../vision/encode.ts';
import type { FindingKind } from './findings.ts';

/** Traits that vary from one drawn chest to the next. Lengths are fractions of the picture's side. */
interface Anatomy {
  readonly shiftX: number;
  readonly shiftY: number;
  readonly scale: number;
  readonly heartWidth: number;
  readonly heartHeight: number;
  readonly ribPhase: number;
  readonly effusionHeight: number;
  readonly apexDepth: number;
  readonly patchX: number;
  readonly patchY: number;
  readonly patchRadius: number;
}

const GREY = {
  air: 0.03,
  body: 0.56,
  lung: 0.42,
  spine: 0.64,
  heart: 0.74,
  fluid: 0.88,
  free: 0.02,
};

function anatomyOf(kinds: ReadonlySet<FindingKind>, rng: Rng): Anatomy {
  const around = (middle: number, spread: number): number =>
    middle + spread * (2 * rng.nextUniform() - 1);
  const isLarge = kinds.has('cardiomegaly');
  const patchSide = rng.nextBelow(2) === 0 ? -1 : 1;
  return {
    shiftX: around(0, 0.025),
    shiftY: around(0, 0.025),
    scale: around(1, 0.05),
    heartWidth: isLarge ? around(0.245, 0.02) : around(0.125, 0.012),
    heartHeight: isLarge ? around(0.2, 0.015) : around(0.145, 0.012),
    ribPhase: rng.nextUniform(),
    effusionHeight: around(0.25, 0.04),
    apexDepth: around(0.42, 0.03),
    patchX: patchSide * around(0.22, 0.025),
    patchY: around(-0.02, 0.05),
    patchRadius: around(0.1, 0.015),
  };
}

/** Membership by signed distance: 1 inside (negative), 0 outside, smooth over `width`. */
function inside(distance: number, width = 0.012): number {
  const steps = distance / (width / 2);
  if (steps > 30) return 0;
  return steps < -30 ? 1 : 1 / (1 + Math.exp(steps));
}

function mix(from: number, to: number, weight: number): number {
  return from + (to - from) * weight;
}

/** Approximate signed distance to an ellipse around (x0, y0). */
function ellipse(x: number, y: number, x0: number, y0: number, rx: number, ry: number): number {
  return (Math.hypot((x - x0) / rx, (y - y0) / ry) - 1) * Math.min(rx, ry);
}

/**
 * Grey level in [0, 1] at a point of the chest, x and y from -0.5 to 0.5 downwards and to the right.
 *
 * The patient faces the viewer: the patient's left is at positive x.
 */
function greyAt(x: number, y: number, kinds: ReadonlySet<FindingKind>, a: Anatomy): number {
  const side = x < 0 ? 'right' : 'left';
  const across = Math.abs(x);

  let grey = mix(GREY.air, GREY.body, inside(ellipse(x, y, 0, 0.1, 0.47, 0.62)));

  // Each lung is an ellipse cut by the dome of its half of the diaphragm; the right dome is higher.
  const dome = (side === 'right' ? 0.25 : 0.28) + 1.6 * (across - 0.2) ** 2;
  const lung = inside(ellipse(across, y, 0.215, -0.02, 0.165, 0.39)) * inside(y - dome);
  const fieldDepth = y + 0.41; // from the apex downwards
  const ribs = Math.sin(2 * Math.PI * (7.5 * (y - 0.9 * (across - 0.2) ** 2 * 2) + a.ribPhase));
  grey = mix(grey, GREY.lung + 0.05 * ribs, lung);

  if (kinds.has(side === 'right' ? 'right_pneumothorax' : 'left_pneumothorax')) {
    // Free air above the pleural line, which slopes down towards the side.
    const line = fieldDepth - a.apexDepth - 0.5 * (across - 0.2);
    grey = mix(grey, GREY.free, lung * inside(line));
    grey = mix(grey, 0.75, lung * Math.exp(-((line / 0.012) ** 2)));
  }
  if (kinds.has('opacity')) {
    const distance = Math.hypot(x - a.patchX, y - a.patchY) / a.patchRadius;
    grey = mix(grey, 0.86, lung * Math.exp(-(distance ** 4) / 2));
  }

  const spine = inside(across - 0.045) * inside(-0.47 - y);
  grey = mix(grey, GREY.spine + 0.04 * Math.sin(60 * y), spine);
  const heart = inside(
    ellipse(x, y, 0.045 + 0.2 * (a.heartWidth - 0.125), 0.16, a.heartWidth, a.heartHeight),
  );
  grey = mix(grey, GREY.heart, heart * inside(y - 0.3));

  if (kinds.has(side === 'right' ? 'right_effusion' : 'left_effusion')) {
    // Fluid fills the lower zone; its meniscus climbs the chest wall and blunts the costophrenic angle.
    const surface = 0.3 - a.effusionHeight - 2.5 * Math.max(0, across - 0.22) ** 2;
    const chest = inside(ellipse(across, y, 0.215, -0.02, 0.18, 0.42)) * inside(y - dome - 0.03);
    grey = mix(grey, GREY.fluid, chest * inside(surface - y, 0.025) * inside(0.05 - across));
  }
  return grey;
}

/**
 * Draws a picture like a frontal chest X-ray: two lungs, ribs, spine, heart and diaphragm, with findings.
 *
 * The patient's left is on the picture's right, as in radiology. Position, size, brightness, contrast and noise vary
 * with the random stream, so two streams share no picture.
 *
 * @param kinds findings to show; `normal` shows none, and several may be combined
 * @param size width and height in pixels
 */
export function drawChest(kinds: readonly FindingKind[], size: number, rng: Rng): Picture {
  const shown = new Set(kinds);
  const anatomy = anatomyOf(shown, rng);
  const brightness = 0.05 * (2 * rng.nextUniform() - 1);
  const contrast = 1 + 0.1 * (2 * rng.nextUniform() - 1);
  const data = new Uint8Array(size * size * 3);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = ((column + 0.5) / size - 0.5 - anatomy.shiftX) / anatomy.scale;
      const y = ((row + 0.5) / size - 0.5 - anatomy.shiftY) / anatomy.scale;
      const clean = 0.45 + contrast * (greyAt(x, y, shown, anatomy) - 0.45) + brightness;
      const value = Math.round(255 * (clean + 0.025 * rng.nextNormal()));
      data.fill(
        Math.max(0, Math.min(255, value)),
        (row * size + column) * 3,
        (row * size + column) * 3 + 3,
      );
    }
  }
  return { width: size, height: size, data };
}

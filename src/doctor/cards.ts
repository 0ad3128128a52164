/** NVIDIA's cards, and the libraries by which they compute and train together. */
import { broken, ok, worthKnowing, type Finding } from './finding.ts';
import type { Machine, Part } from './machine.ts';

const toolkit = 'sudo apt-get install cuda-libraries-13-0';

/** Libraries of one card in the order in which they need each other. */
const libraries: readonly { readonly part: Part; readonly name: string; readonly mend: string }[] =
  [
    { part: 'driver', name: 'CUDA driver', mend: 'sudo apt-get install libcuda1' },
    { part: 'cudart', name: 'CUDA runtime', mend: toolkit },
    { part: 'cublas', name: 'cuBLAS', mend: toolkit },
    { part: 'nvrtc', name: 'NVRTC', mend: toolkit },
    { part: 'cudnn', name: 'cuDNN', mend: 'sudo apt-get install libcudnn9-cuda-13' },
  ];

/**
 * The cards and what they need.
 *
 * Without a card nothing more is looked for. Where every library loads, a card is opened as a run would.
 */
export async function checkCards(machine: Machine): Promise<Finding[]> {
  const count = machine.names('/dev').filter((name) => /^nvidia\d+$/.test(name)).length;
  if (count === 0) {
    return [worthKnowing('cards', 'no NVIDIA card; runs compute on the processor')];
  }
  const found = await Promise.all(
    libraries.map(async ({ part, name, mend }) => {
      const opened = await machine.opened(part);
      return opened.works ? ok(name, 'loads') : broken(name, plain(opened.reason), mend);
    }),
  );
  return [
    ok('cards', count === 1 ? '1 NVIDIA card' : `${count} NVIDIA cards`),
    ...found,
    ...(found.every(({ verdict }) => verdict === 'ok') ? [await opening(machine)] : []),
    await checkNccl(machine, count),
  ];
}

/** The first card through ONNX Runtime's provider. */
async function opening(machine: Machine): Promise<Finding> {
  const opened = await machine.opened('cuda');
  if (opened.works) return ok('CUDA provider', 'the first card opens');
  const said = /`([^`]* install [^`]*)`/.exec(opened.reason)?.[1];
  return broken('CUDA provider', plain(opened.reason), said ?? 'nvidia-smi');
}

/** NCCL, which several cards need to train together. */
async function checkNccl(machine: Machine, cardCount: number): Promise<Finding> {
  const opened = await machine.opened('nccl');
  if (opened.works) return ok('NCCL', 'loads');
  const mend = 'pip install nvidia-nccl-cu13';
  return cardCount > 1
    ? broken('NCCL', plain(opened.reason), mend)
    : worthKnowing('NCCL', 'missing; needed for training on several cards', mend);
}

/** A reason without the name of the device, which the report has in front of it. */
function plain(reason: string): string {
  return reason.replace(/^device cuda(:\d+)?: /, '');
}

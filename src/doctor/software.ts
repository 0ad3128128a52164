/** Node, ONNX Runtime, and the parts that some runs use besides. */
import { broken, ok, worthKnowing, type Finding } from './finding.ts';
import type { Machine } from './machine.ts';

/** Processors for which processes of one host share memory. */
const sharingArchs = ['x64', 'arm64'];

/** Node and the kind of machine it runs on. */
export function checkNode({ node, platform, arch }: Machine): Finding[] {
  const says = `${node} for ${platform} on ${arch}`;
  if (platform === 'linux' && sharingArchs.includes(arch)) return [ok('node', says)];
  return [
    worthKnowing('node', `${says}; on Linux for x64 or arm64, processes of a host share memory`),
  ];
}

/** ONNX Runtime on the processor, without which nothing computes. */
export async function checkOnnxRuntime(machine: Machine): Promise<Finding[]> {
  const opened = await machine.opened('onnxruntime');
  if (opened.works) return [ok('ONNX Runtime', 'computes on the processor')];
  const isNamed = (machine.environment['CXMIND_ONNXRUNTIME'] ?? '') !== '';
  const mend = isNamed ? 'unset CXMIND_ONNXRUNTIME' : 'npm ci';
  return [broken('ONNX Runtime', opened.reason, mend)];
}

/** An adapter of WebGPU, which `device=webgpu` computes on. */
export async function checkWebGpu(machine: Machine): Promise<Finding[]> {
  const opened = await machine.opened('webgpu');
  if (opened.works) return [ok('WebGPU', 'an adapter opens')];
  // What ONNX Runtime said stands in brackets, with the places of its sources.
  const [advice = ''] = opened.reason.split(' (WebGPU:');
  return [worthKnowing('WebGPU', advice.replace(/^device webgpu: /, 'no adapter; '))];
}

/** Open MPI, by which ranks that `mpirun` starts find each other. */
export async function checkMpi(machine: Machine): Promise<Finding[]> {
  const opened = await machine.opened('mpi');
  if (opened.works) return [ok('MPI', 'the Open MPI library loads')];
  const mend = 'sudo apt-get install openmpi-bin libopenmpi-dev';
  return [worthKnowing('MPI', 'no Open MPI library; starting by mpirun needs it', mend)];
}

interface Program {
  readonly name: string;
  readonly args: readonly string[];
  /** Work that needs it. */
  readonly purpose: string;
  readonly package: string;
}

const programs: readonly Program[] = [
  { name: 'ffmpeg', args: ['-version'], purpose: 'videos in the data', package: 'ffmpeg' },
  { name: 'ffprobe', args: ['-version'], purpose: 'videos in the data', package: 'ffmpeg' },
  {
    name: 'python3',
    args: ['--version'],
    purpose: 'rewards and environments in Python',
    package: 'python3',
  },
  { name: 'ssh', args: ['-V'], purpose: 'runs on several hosts', package: 'openssh-client' },
];

/** Programs that some runs start. */
export async function checkPrograms(machine: Machine): Promise<Finding[]> {
  return Promise.all(
    programs.map(async ({ name, args, purpose, package: from }) => {
      const printed = await machine.printed(name, ...args);
      if (printed === null) {
        return worthKnowing(name, `missing; needed for ${purpose}`, `sudo apt-get install ${from}`);
      }
      const [first = ''] = printed.trim().split('\n');
      return ok(name, first.replace(/ Copyright.*$/, ''));
    }),
  );
}

/** Questions that checks ask a machine. Tests answer for machines that they make up. */

/** Parts that are opened to see whether they work. */
export type Part =
  | 'onnxruntime'
  | 'webgpu'
  | 'driver'
  | 'cudart'
  | 'cublas'
  | 'nvrtc'
  | 'cudnn'
  | 'cuda'
  | 'nccl'
  | 'mpi';

/** A part that opens, or the reason why not. */
export type Opened = { readonly works: true } | { readonly works: false; readonly reason: string };

/** A folder's file system. */
export interface Room {
  readonly freeBytes: number;
  readonly isWritable: boolean;
}

/** A machine, as far as checks ask it. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  /** Version of the running Node: `v24.1.0`. */
  readonly node: string;
  /** Folder in which runs would be written. */
  readonly folder: string;
  /** Logical processors of the machine. */
  readonly processors: number;
  /** Processors that this process may keep busy; computing takes so many threads by default. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly environment: NodeJS.ProcessEnv;
  /** Reads a file; null where there is none to read. */
  readonly text: (path: string) => string | null;
  /** Lists a folder; empty where there is none. */
  readonly names: (folder: string) => readonly string[];
  /** Asks the file system of a folder; null where there is no such folder. */
  readonly room: (folder: string) => Room | null;
  /** Runs a program; returns what it printed, or null where there is no such program or it fails. */
  readonly printed: (program: string, ...args: readonly string[]) => Promise<string | null>;
  readonly opened: (part: Part) => Promise<Opened>;
}

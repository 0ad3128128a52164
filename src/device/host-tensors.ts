/** Tensors of the host on their way to and from a device, and the paging of host memory that lies in files. */
import { viewOf, type DType } from '../tensor/dtype.ts';
import { bringIn, bringInAhead, letGo } from '../tensor/file-memory.ts';
import { isShared } from '../tensor/memory.ts';
import { vector, zeros, type Allocate, type Tensor, type Tensors } from '../tensor/tensor.ts';
import type { Device, View, Views, Workspace } from './device.ts';

/** Memory for host tensors that are written and then put: the workspace's own where the host can write there. */
export function staging({ host }: Device, workspace: Workspace): Allocate {
  return (dtype, shape) =>
    host === null ? zeros(dtype, shape) : host.tensor(workspace.take(dtype, shape));
}

/** Puts host tensors where a device can read them. */
export function putAll(workspace: Workspace, tensors: Tensors): Views {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [name, workspace.put(tensor)]),
  );
}

/** Puts an index of rows where a device can read it. */
export function putIndex(workspace: Workspace, rows: Int32Array): View<'i32'> {
  return workspace.put(sharedIndex(rows));
}

/** The rows as a tensor, copied unless they stand on shared memory. */
function sharedIndex(rows: Int32Array): Tensor<'i32'> {
  if (isShared(rows.buffer)) {
    const data = viewOf('i32', rows.buffer, rows.byteOffset, rows.length);
    return vector('i32', data);
  }
  const tensor = zeros('i32', [rows.length]);
  tensor.data.set(rows);
  return tensor;
}

/** Reads a view: in place where this process can see its memory, else as a copy. The result is for reading only. */
export async function readTensor<D extends DType>(view: View<D>): Promise<Tensor<D>> {
  const { device } = view;
  return device.host?.tensor(view) ?? (await device.download(view));
}

/** Applies `bringIn` to a view of this process's memory; no effect on a device's own. */
export function bringInView(view: View, use: 'read' | 'write'): void {
  const tensor = view.device.host?.tensor(view);
  if (tensor !== undefined) bringIn(tensor.data, use);
}

/** Applies `bringInAhead` to a view of this process's memory; no effect on a device's own. */
export async function bringInViewAhead(view: View): Promise<void> {
  const tensor = view.device.host?.tensor(view);
  if (tensor !== undefined) await bringInAhead(tensor.data);
}

/** Applies `letGo` to a view of this process's memory; no effect on a device's own. */
export function letGoView(view: View): void {
  const tensor = view.device.host?.tensor(view);
  if (tensor !== undefined) letGo(tensor.data);
}

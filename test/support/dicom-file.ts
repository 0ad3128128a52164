/** Length of a value as explicit little-endian files have it: four bytes behind two unused ones for `OW`, else two. */
function header(tag: number, vr: string, length: number): Buffer {
  const bytes = Buffer.alloc(vr === 'OW' ? 12 : 8);
  bytes.writeUInt16LE(tag >>> 16, 0);
  bytes.writeUInt16LE(tag & 0xffff, 2);
  bytes.write(vr, 4, 'latin1');
  if (vr === 'OW') bytes.writeUInt32LE(length, 8);
  else bytes.writeUInt16LE(length, 6);
  return bytes;
}

function element(tag: number, vr: string, value: Buffer): Buffer {
  return Buffer.concat([header(tag, vr, value.length), value]);
}

function text(tag: number, vr: string, value: string): Buffer {
  const padding = vr === 'UI' ? '\0' : ' ';
  return element(tag, vr, Buffer.from(value.length % 2 === 0 ? value : value + padding, 'latin1'));
}

function short(tag: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return element(tag, 'US', bytes);
}

/**
 * A grey DICOM file of 12 bits, uncompressed (PS3.5, explicit VR little endian; PS3.10 for the head of the file).
 *
 * @param samples `side` x `side` of 0 to 4095, row by row
 * @param patient a name that must not leave the file
 */
export function dicomFile(samples: Uint16Array, side: number, patient: string): Buffer {
  const syntax = text(0x0002_0010, 'UI', '1.2.840.10008.1.2.1');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(syntax.length);
  return Buffer.concat([
    ...[Buffer.alloc(128), Buffer.from('DICM'), element(0x0002_0000, 'UL', length), syntax],
    ...[text(0x0010_0010, 'PN', patient), short(0x0028_0002, 1)],
    ...[text(0x0028_0004, 'CS', 'MONOCHROME2'), short(0x0028_0010, side), short(0x0028_0011, side)],
    ...[short(0x0028_0100, 16), short(0x0028_0101, 12), short(0x0028_0102, 11)],
    ...[short(0x0028_0103, 0), element(0x7fe0_0010, 'OW', Buffer.from(samples.buffer))],
  ]);
}

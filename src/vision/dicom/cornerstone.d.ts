// The codecs' packages ship no declarations; what is used of them is declared here.

interface WasmDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getDecodedBuffer(): Uint8Array;
  getFrameInfo(): { readonly width: number; readonly height: number };
  delete(): void;
}

interface Printing {
  readonly print: (line: string) => void;
  readonly printErr: (line: string) => void;
}

declare module '@cornerstonejs/codec-charls/decodewasmjs' {
  export default function open(
    printing: Printing,
  ): Promise<{ readonly JpegLSDecoder: new () => WasmDecoder }>;
}

declare module '@cornerstonejs/codec-openjpeg/decodewasmjs' {
  export default function open(
    printing: Printing,
  ): Promise<{ readonly J2KDecoder: new () => WasmDecoder }>;
}

/** Where a row's parts stand. */
export interface RowKeys {
  readonly promptKey: string;
  readonly answerKey: string;
  readonly imageKey: string;
  readonly videoKey: string;
}

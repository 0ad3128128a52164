const HUB_ID = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;
const DATA_FILE = /\.(jsonl|json|csv|parquet|arrow|txt)$/i;

/**
 * Tells whether a name that is no file here may be that of a repository on the Hugging Face Hub: `owner/name`.
 *
 * The reference takes everything that is not there for a hub id; here a mistyped path stays one.
 */
export function isHubId(name: string): boolean {
  return HUB_ID.test(name) && !DATA_FILE.test(name);
}

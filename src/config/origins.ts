export const originsForm = 'origins as `https://app.example.com`, with commas between';

/** Whether a text is exactly what a browser sends as the origin of a page: scheme, host, and port if it is not the usual. */
export function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

export function renderPage(..._a: unknown[]): string {
  return '';
}

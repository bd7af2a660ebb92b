export async function drawPlots(_rows: unknown): Promise<{ name: string; svg: string }[]> {
  return [];
}

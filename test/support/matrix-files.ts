import { builtinLayer } from '../../src/domain/matrix/builtin.ts';
import type { MatrixLayer } from '../../src/domain/matrix/document.ts';
import { parseMatrixFiles } from '../../src/domain/matrix/parse.ts';

/** The layers of a baseline with these sections and of layers on top of it, each as the text after `version: 1`. */
export function matrixOf(baseline: string, ...layers: string[]): readonly MatrixLayer[] {
  const texts = [baseline, ...layers].map((text, number) => ({
    name: number === 0 ? 'baseline.yaml' : `layers/${number}.yaml`,
    text: `version: 1\n${text}`,
  }));
  return parseMatrixFiles(texts, builtinLayer).layers;
}

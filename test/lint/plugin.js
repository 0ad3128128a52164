// oxlint's plugin with the project's own rules.

/** First words that make a docstring's first sentence lean on something outside it. */
const leaning =
  'of|what|who|whose|where|which|how|why|whether|that|as|when|if|for|from|with|without|in|on|at|by|to|its|their|it|they|these|those|under|' +
  'above|below|only|either|and|but|because';
const leans = new RegExp(`^\\*[\\s*]*(${leaning})(?![\\w-])`, 'i');

/**
 * Lint rule that refuses a docstring whose first sentence cannot stand alone in a hover.
 *
 * It looks at the first word only: a docstring begins with a noun phrase or a verb.
 */
const standsAlone = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: { leans: "A docstring begins with a noun phrase or a verb, not with '{{word}}'." },
  },
  create: ({ sourceCode, report }) => ({
    Program() {
      for (const comment of sourceCode.getAllComments()) {
        const [, word] = leans.exec(comment.value) ?? [];
        if (word) report({ loc: comment.loc, messageId: 'leans', data: { word } });
      }
    },
  }),
};

/** Exports and lines from which on a file has to say what they have in common. */
const [FEW_EXPORTS, FEW_LINES] = [3, 60];

/** True for an exported class, function or value. Types go with what uses them. */
function isMain({ type, declaration }) {
  const kinds = ['ClassDeclaration', 'FunctionDeclaration', 'VariableDeclaration'];
  return type === 'ExportNamedDeclaration' && kinds.includes(declaration?.type);
}

/** Lint rule that asks for a header, a docstring before the imports, in a file with several exports. */
const header = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: {
      missing: 'A file of {{count}} exports begins with a docstring that says what it is for.',
    },
  },
  create: ({ sourceCode, report }) => ({
    Program(program) {
      const count = program.body.filter(isMain).length;
      if (count < FEW_EXPORTS || sourceCode.lines.length < FEW_LINES) return;
      const [first] = program.body;
      const [start] = first.range;
      const isThere = sourceCode.getAllComments().some(({ type, range: [, end] }) => {
        const gap = sourceCode.text.slice(end, start);
        // Without imports, a docstring right before the first export is of that alone.
        const isOfFile = first.type === 'ImportDeclaration' || gap.includes('\n\n');
        return type === 'Block' && end <= start && isOfFile;
      });
      if (!isThere) report({ node: first, messageId: 'missing', data: { count } });
    },
  }),
};

export default {
  meta: { name: 'cxmind' },
  rules: { 'stands-alone': standsAlone, header },
};

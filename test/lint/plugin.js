// oxlint's plugin with the project's own rule.

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

export default { meta: { name: 'cxmind' }, rules: { 'stands-alone': standsAlone } };

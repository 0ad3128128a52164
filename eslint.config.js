import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** First words that make a docstring's first sentence lean on something outside it. */
const leaning =
  'of|what|who|whose|where|which|how|why|whether|that|as|when|if|for|from|with|without|in|on|at|by|to|its|their|it|they|and|but|because';

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
        const [, word] =
          new RegExp(`^\\*[\\s*]*(${leaning})(?![\\w-])`, 'i').exec(comment.value) ?? [];
        if (word) report({ loc: comment.loc, messageId: 'leans', data: { word } });
      }
    },
  }),
};

export default defineConfig(
  { ignores: ['dist/**', 'runs/**', 'api/**', 'node_modules/**', 'test/golden/*/**'] },
  js.configs.recommended,
  {
    plugins: { cxmind: { rules: { 'stands-alone': standsAlone } } },
    rules: { 'cxmind/stands-alone': 'error' },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-empty-object-type': [
        'error',
        { allowInterfaces: 'with-single-extends' },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_$' },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  {
    files: ['**/*.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } },
  },
  {
    // What reaches a terminal goes through one door, which takes control sequences and secrets out of it.
    files: ['src/**/*.ts', 'actors/**/*.ts', 'transport/**/*.ts'],
    ignores: ['src/cli/terminal.ts'],
    rules: { 'no-console': 'error' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      // A test lets go of a value so that the collector can take it.
      'no-useless-assignment': 'off',
    },
  },
);

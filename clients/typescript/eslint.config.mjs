import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['dist/', 'src/gen/', 'node_modules/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.mts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      // Numbers in messages read as they should.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // The empty string of the protocol means absent, so `||` is meant where it stands.
      '@typescript-eslint/prefer-nullish-coalescing': 'off',
      // The type of an output is the caller's word, as with JSON.parse.
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      // An iteration can be asked for more after its end.
      'no-constant-condition': ['error', { checkLoops: false }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: 'always' }],
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_+$', argsIgnorePattern: '^_+$' }],
      'max-lines': ['error', 300],
    },
  },
  {
    files: ['tests/**', 'executor/**'],
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      // Scripts of gateways are generators and handlers whether or not they wait.
      '@typescript-eslint/require-await': 'off',
      'require-yield': 'off',
      // Numbers that only a newer gateway knows.
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
    },
  },
  {
    files: ['executor/**'],
    rules: {
      // A command's fields are of the runner's making; each operation takes what it needs.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
  {
    files: ['examples/**'],
    languageOptions: { globals: { console: 'readonly', process: 'readonly' } },
  },
);

import js from '@eslint/js'
import vueI18n from '@intlify/eslint-plugin-vue-i18n'
import { defineConfigWithVueTs, vueTsConfigs } from '@vue/eslint-config-typescript'
import vue from 'eslint-plugin-vue'
import a11y from 'eslint-plugin-vuejs-accessibility'

export default defineConfigWithVueTs(
  { ignores: ['node_modules', 'src/api/schema.d.ts'] },
  js.configs.recommended,
  vue.configs['flat/recommended'],
  ...a11y.configs['flat/recommended'],
  ...vueI18n.configs.recommended,
  vueTsConfigs.recommended,
  // JSON is read by the locale rules only.
  { files: ['**/*.json'], rules: { '@typescript-eslint/no-unused-expressions': 'off' } },
  {
    settings: { 'vue-i18n': { localeDir: './src/locales/*/*.json', messageSyntaxVersion: '^11.0.0' } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@intlify/vue-i18n/no-missing-keys': 'error',
      '@intlify/vue-i18n/no-missing-keys-in-other-locales': 'error',
      '@intlify/vue-i18n/no-raw-text': [
        'error',
        { ignorePattern: '^[-·‹…\\s]*$', attributes: { '/.+/': ['title', 'aria-label', 'aria-placeholder', 'alt'] } },
      ],
      // These two look at one file; whether every control has its label is seen in the browser, by axe.
      'vuejs-accessibility/label-has-for': ['error', { required: { some: ['nesting', 'id'] } }],
      'vuejs-accessibility/form-control-has-label': 'off',
      'vuejs-accessibility/no-autofocus': 'off', // on pages and dialogs that are there for one field
      'vue/require-default-prop': 'off', // optional props are typed as possibly undefined
    },
  },
  {
    // The theme script runs in the browser as it is, before any module.
    files: ['src/theme.js'],
    languageOptions: {
      sourceType: 'script',
      globals: { localStorage: 'readonly', matchMedia: 'readonly', document: 'readonly' },
    },
  },
  {
    // Formatting is prettier's business.
    rules: Object.fromEntries(
      [
        'html-closing-bracket-newline',
        'html-indent',
        'html-self-closing',
        'max-attributes-per-line',
        'multiline-html-element-content-newline',
        'singleline-html-element-content-newline',
        'html-closing-bracket-spacing',
        'first-attribute-linebreak',
      ].map((rule) => [`vue/${rule}`, 'off']),
    ),
  },
)

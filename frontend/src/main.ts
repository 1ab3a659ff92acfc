import './main.css'
import { createApp } from 'vue'
import { createPinia } from 'pinia'
import { createWebHistory } from 'vue-router'
import ui from '@nuxt/ui/vue-plugin'
import App from './App.vue'
import { i18n, initLocale } from './i18n'
import { makeRouter } from './router'
import { useConfigStore } from './stores/config'

const app = createApp(App).use(createPinia())
await Promise.all([initLocale(), useConfigStore().load()])
app.use(makeRouter(createWebHistory())).use(i18n).use(ui).mount('#app')

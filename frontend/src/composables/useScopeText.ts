import { useI18n } from 'vue-i18n'

export type ScopeGroup = 'identity' | 'access' | 'offline' | 'other'

const groups: Record<string, ScopeGroup> = {
  openid: 'identity',
  profile: 'identity',
  email: 'identity',
  phone: 'identity',
  address: 'identity',
  roles: 'access',
  plan: 'access',
  org: 'access',
  offline_access: 'offline',
}

/** Scopes in plain words: ours for the standard ones, the server's for an application's own. */
export function useScopeText() {
  const { t, te } = useI18n()

  const scopeGroup = (name: string): ScopeGroup => groups[name] ?? 'other'
  const scopeTitle = (name: string, fallback = name) =>
    te(`scopes.${name}.title`) ? t(`scopes.${name}.title`) : fallback
  const scopeDescription = (name: string, fallback = '') =>
    te(`scopes.${name}.description`) ? t(`scopes.${name}.description`) : fallback

  return { scopeGroup, scopeTitle, scopeDescription }
}

import type { ClientType } from '@/api/clients'

export const clientIcons: Record<ClientType, string> = {
  web: 'i-lucide-server',
  spa: 'i-lucide-app-window',
  native: 'i-lucide-smartphone',
  m2m: 'i-lucide-cpu',
}

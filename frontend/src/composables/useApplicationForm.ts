import { computed, reactive, watch, type Ref } from 'vue'
import type { ApplicationDetail, ApplicationPatch } from '@/api/applications'

const copied = [
  'name',
  'slug',
  'redirectUris',
  'postLogoutRedirectUris',
  'allowedOrigins',
  'scopes',
  'skipConsent',
  'requirePkce',
  'audiences',
  'accessTokenFormat',
  'accessTokenLifetime',
  'logoUri',
  'homepageUri',
  'policyUri',
  'tosUri',
] as const

export type ApplicationForm = Pick<ApplicationDetail, (typeof copied)[number]>

/** A copy of an application to edit, and the difference to send. */
export function useApplicationForm(application: Readonly<Ref<ApplicationDetail>>) {
  const form = reactive(copyOf(application.value)) as ApplicationForm
  const patch = computed(() => difference(application.value, form))
  const dirty = computed(() => Object.keys(patch.value).length > 0)
  const reset = () => Object.assign(form, copyOf(application.value))

  // Saved here, or changed by something else on the page such as disabling it.
  watch(application, reset)

  return { form, patch, dirty, reset }
}

function copyOf(application: ApplicationDetail): ApplicationForm {
  return Object.fromEntries(copied.map((key) => [key, structuredClone(plain(application[key]))])) as ApplicationForm
}

/** Only what changed is sent, so that two people who edit different fields do not undo each other's work. */
function difference(application: ApplicationDetail, form: ApplicationForm): ApplicationPatch {
  const changed = copied.filter((key) => JSON.stringify(clean(form[key])) !== JSON.stringify(clean(application[key])))
  return Object.fromEntries(changed.map((key) => [key, clean(form[key])]))
}

/** Empty lines of a list and emptied fields are no values. */
function clean(value: ApplicationForm[keyof ApplicationForm]) {
  if (Array.isArray(value)) return value.filter(Boolean)
  return value === '' ? null : value
}

const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

// What all scenarios begin with.

import { PASSWORD } from '../talk.mjs'

export { PASSWORD }
export const OTHER_PASSWORD = 'brisk-Timber-88-violet'

/** Collects scenarios: `add(name, part, run)`. */
export function collection() {
  const list = []
  const add = (name, part, run, needs = []) => list.push({ name, part, run, needs })
  return { list, add }
}

/** A new user in a browser of their own, signed in: `enter(scene, 'anna.reset')`. */
export async function enter(scene, name, { verified = false, ...more } = {}) {
  const browser = scene.browser(more.browser)
  browser.email = `${name}@example.org`
  delete more.browser
  const { data } = await browser.call('signUp.email', `${name} joins`, { name: name.split('.')[0], email: browser.email, password: PASSWORD, ...more })
  browser.user = data?.user
  if (verified) await prove(scene, browser)
  return browser
}

/** The address of somebody is proved through the link in the letter. */
export async function prove(scene, browser) {
  await browser.call('sendVerificationEmail', { email: browser.email })
  const letter = await scene.mail(browser.email)
  await browser.get('the link in the letter', letter?.link ?? '/verify-email?token=none')
}

/** Signs in again, in the same browser or in another one. */
export async function signIn(browser, email, password = PASSWORD, about = '') {
  const outcome = await browser.call('signIn.email', about, { email, password })
  browser.email = email
  browser.user = outcome.data?.user
  return outcome
}

/** Somebody with the role `admin`. */
export async function enterAdmin(scene, name) {
  const browser = await enter(scene, name)
  await scene.control('role', { email: browser.email, role: 'admin' })
  return browser
}

// Debian's Chromium through playwright-core: a browser, contexts that collect what goes wrong on our pages, and the steps
// that people take on them.

import fs from 'node:fs'
import { chromium } from 'playwright-core'

const ARGUMENTS = [
  '--no-sandbox',
  '--headless',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
]

const PLACES = [process.env.CHROMIUM_BIN, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

export function chromiumPath() {
  return PLACES.find((place) => place && fs.existsSync(place))
}

export async function startChromium(more = []) {
  return chromium.launch({ executablePath: chromiumPath(), args: [...ARGUMENTS, ...more] })
}

/**
 * A fresh profile. `problems` collects console errors (Content-Security-Policy violations among them), page errors and
 * failed requests on the server's own origin.
 */
export async function openContext(browser, door, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  context.setDefaultTimeout(15_000)
  const problems = []
  const ours = (url) => url.startsWith(door.url) || url === '' || url === 'about:blank'
  context.on('console', (message) => {
    if (message.type() !== 'error' && !/Content.Security.Policy/i.test(message.text())) return
    // The browser itself prints a line for a page answered with 4xx: that is the page, not a mistake on it.
    const resource = /Failed to load resource.*status of [45]\d\d/.test(message.text())
    const at = message.page()?.url() ?? ''
    if (resource && (message.location().url === at || !ours(at))) return
    if (ours(message.location().url) || ours(message.page()?.url() ?? '')) problems.push(`console: ${message.text()} (${message.location().url})`)
  })
  context.on('weberror', (error) => problems.push(`page error: ${error.error()?.stack ?? error.error()}`))
  context.on('response', (response) => {
    const request = response.request()
    if (response.status() < 400 || request.isNavigationRequest()) return
    if (ours(response.url()) && ours(request.frame().url())) {
      problems.push(`${response.status()} for ${request.resourceType()} ${response.url()}`)
    }
  })
  return { context, problems }
}

/** Presses the button that a person would press in the form that holds `inner`. */
async function press(page, inner) {
  const form = page.locator('form', { has: page.locator(inner) }).first()
  await form.locator('button:not([type=button]):not([type=reset]), input[type=submit]').first().click()
}

/** Fills the sign-in form that is on the page and sends it. */
export async function signInHere(page, person) {
  try {
    await page.fill('input[name=username]', person.username)
    await page.fill('input[name=password]', person.password)
  } catch (error) {
    throw new Error(`expected a sign-in form, got: ${page.url()}\n${(await textOf(page)).slice(0, 800)}\n${error.message}`)
  }
  await press(page, 'input[name=password]')
}

/** Answers the consent form that is on the page. */
export async function consentHere(page, decision = 'allow') {
  try {
    await page.locator(`button[name=decision][value=${decision}]`).first().click()
  } catch (error) {
    throw new Error(`expected a consent form, got: ${page.url()}\n${(await textOf(page)).slice(0, 800)}\n${error.message}`)
  }
}

export async function textOf(page) {
  return page.locator('body').innerText()
}

/** Waits until the page is at `prefix`; shows where it stayed otherwise. */
export async function arrive(page, prefix) {
  try {
    await page.waitForURL((url) => url.href.startsWith(prefix), { waitUntil: 'commit' })
  } catch {
    throw new Error(`expected to arrive at ${prefix}, got: ${page.url()}\n${(await textOf(page)).slice(0, 1200)}`)
  }
  return new URL(page.url())
}

/** Presses the first button or link whose visible name matches. */
export async function pressNamed(page, name) {
  const button = page.getByRole('button', { name }).or(page.getByRole('link', { name })).first()
  try {
    await button.click()
  } catch (error) {
    throw new Error(`expected a button or link named ${name}, got: ${page.url()}\n${(await textOf(page)).slice(0, 1200)}\n${error.message}`)
  }
}

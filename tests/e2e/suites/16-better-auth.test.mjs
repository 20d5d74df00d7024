// The doors of apps against the real better-auth, both of its lines: the npm client library and plain requests say the same to
// both servers, and what comes back must be the same but for ids, tokens and dates. What differs on purpose is in
// better-auth/differences.json, each with its reason.
//
// E2E_BETTER_AUTH=v17|v16   one line only

import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Known, judge } from '../better-auth/compare.mjs'
import { startOurs } from '../better-auth/doorward-target.mjs'
import { startIdp } from '../better-auth/idp.mjs'
import { scenarios } from '../better-auth/scenarios/index.mjs'
import { play } from '../better-auth/talk.mjs'
import { VERSIONS, startReference } from '../better-auth/target.mjs'
import { assert } from '../lib/expect.mjs'

const folder = path.join(import.meta.dirname, '..', 'better-auth')
const only = process.env.E2E_BETTER_AUTH
/** What the issue asks for; there are several times as many. */
const LEAST_CALLS = 200

for (const [version, number] of Object.entries(VERSIONS)) {
  const installed = fs.existsSync(path.join(folder, version, 'node_modules', 'better-auth'))
  const missing = only && only !== version ? 'not asked for' : installed ? false : `better-auth ${number} is not installed`

  describe(`better-auth ${number}`, { skip: missing }, () => {
    const known = new Known()
    let packages, idp, reference, ours
    let calls = 0
    let accepted = 0

    before(async () => {
      packages = await import(`../better-auth/${version}/packages.mjs`)
      idp = await startIdp()
      reference = await startReference(version, { idp })
      ours = await startOurs({ idp, version })
    })
    after(async () => {
      await ours?.stop()
      await reference?.stop()
      await idp?.close()
    })

    for (const scenario of scenarios) {
      const left = (op) => `${op} is not possible here`
      test(`${number}: ${scenario.name}`, async (t) => {
        const lacking = scenario.needs.find((op) => !ours.can(op))
        if (lacking) return t.skip(left(lacking))
        const settings = { version, packages, idp }
        // What only one side can do is left out on both.
        const wanted = await play(scenario, { ...settings, target: { ...reference, can: ours.can } })
        const got = await play(scenario, { ...settings, target: ours })
        const found = judge({ scenario: scenario.name, version, wanted, got, known })
        calls += wanted.filter(({ request }) => request).length
        accepted += found.accepted
        assert.deepEqual(found.wrong.length, 0, `${found.wrong.length} of ${wanted.length} calls differ\n${found.wrong.join('\n')}`)
      })
    }

    test(`${number}: at least ${LEAST_CALLS} calls were compared, and every known difference was seen`, (t) => {
      t.diagnostic(`${calls} calls, ${accepted} known differences`)
      assert.ok(calls >= LEAST_CALLS, `${calls} calls`)
      const stale = known.stale(version)
      assert.deepEqual(stale, [], `differences.json names what does not differ any more:\n${stale.join('\n')}`)
    })
  })
}

// tap.mjs - tests that speak TAP, so that `prove` counts them with all others.
//
//     import { test, run } from '../lib/tap.mjs';
//     test('adds', async () => { assert.equal(1 + 1, 2); });
//     await run();
//
// One line a test; a test fails when its function throws. skip('why') inside a test skips it.
const tests = [];

class Skip extends Error {}

export function test(name, fn) {
    tests.push({ name, fn });
}

export function skip(why) {
    throw new Skip(why);
}

// Runs all tests in order; `after` (stop a server, remove a folder) runs whatever happens.
export async function run(after) {
    let failed = 0;
    console.log(`1..${tests.length}`);
    for (const [i, { name, fn }] of tests.entries()) {
        const label = name.replaceAll('#', '\\#');
        try {
            await fn();
            console.log(`ok ${i + 1} - ${label}`);
        } catch (error) {
            if (error instanceof Skip) {
                console.log(`ok ${i + 1} - ${label} # SKIP ${error.message}`);
                continue;
            }
            failed++;
            console.log(`not ok ${i + 1} - ${label}`);
            console.error(String(error?.stack ?? error).replace(/^/gm, '# '));
        }
    }
    try {
        await after?.();
    } catch (error) {
        failed++;
        console.log(`Bail out! clean-up failed: ${error}`);
    }
    process.exit(failed ? 1 : 0);
}

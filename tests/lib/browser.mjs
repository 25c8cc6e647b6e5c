// browser.mjs - Debian's Chromium, driven by playwright-core, and axe-core in its pages.
//
//     const browser = await startBrowser();
//     const page = await browser.newPage({ viewport: phone });
//     assert.deepEqual(await violations(page), []);
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };
export const languages = ['ja', 'easy', 'en', 'zh', 'ko', 'vi', 'pt'];

export function startBrowser() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync',
            '--no-first-run', '--disable-dev-shm-usage', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
    });
}

// What axe-core finds, one short text each. The page's own policy forbids foreign scripts, which is
// what it is for: the page must be opened with bypassCSP.
export async function violations(page, without = []) {
    if (!await page.evaluate(() => 'axe' in globalThis)) await page.addScriptTag({ content: axe });
    const found = await page.evaluate(async (off) => {
        const result = await globalThis.axe.run(document, {
            runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
            resultTypes: ['violations'],
            rules: Object.fromEntries(off.map((id) => [id, { enabled: false }])),
        });
        return result.violations.map((v) => ({ id: v.id, help: v.help, nodes: v.nodes.map((n) => `${n.target} ${n.html.slice(0, 160)}`) }));
    }, without);
    return found.map((v) => `${v.id} (${v.help}): ${v.nodes.slice(0, 3).join(' | ')}`);
}

// What the page wrote as errors, and requests that failed, from now on.
export function watch(page) {
    const seen = [];
    page.on('pageerror', (error) => seen.push(String(error)));
    page.on('console', (message) => {
        if (message.type() === 'error') seen.push(message.text());
    });
    return seen;
}

#!/usr/bin/env node
// What a person sees and does: first screen, languages, keyboard, no script, narrow screens, import.
import assert from 'node:assert/strict';
import { startCity, eventually } from '../lib/city.mjs';
import { desktop, languages, phone, startBrowser, watch } from '../lib/browser.mjs';
import { run, test } from '../lib/tap.mjs';

const city = await startCity({ args: ['--demo'] });
const browser = await startBrowser();

async function withPage(options, use) {
    const context = await browser.newContext({ viewport: desktop, ...options });
    try {
        return await use(await context.newPage());
    } finally {
        await context.close();
    }
}

test('the first screen shows the city and its figures, and weighs at most 100 KB', () => withPage({ viewport: phone, locale: 'ja-JP' }, async (page) => {
    let bytes = 0;
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    session.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; });
    const errors = watch(page);
    await page.goto(city.url, { waitUntil: 'networkidle' });
    assert.equal(new URL(page.url()).pathname, '/ja');
    assert.equal(await page.textContent('h1'), 'つくばのはら市の今');
    assert.ok(await page.locator('.figures li').count() >= 4);
    assert.ok(bytes > 3000 && bytes <= 100 * 1024, `${bytes} bytes`);
    assert.deepEqual(errors, []);
}));

test('the figures change by themselves while somebody looks', () => withPage({}, async (page) => {
    await page.goto(`${city.url}/en`);
    const weather = '/ngsi-ld/v1/entities/urn:ngsi-ld:WeatherObserved:demo:01/attrs/temperature';
    const before = await page.textContent('.figures');
    assert.equal((await city.patch(weather, { type: 'Property', value: 999.5, unitCode: 'CEL' })).status, 204);
    await page.waitForFunction((old) => document.querySelector('.figures').textContent !== old, before, { timeout: 15000 });
}));

test('Accept-Language chooses the language of "/", a cookie goes before it', async () => {
    const to = async (headers) => (await city.get('/', headers)).headers.get('location');
    assert.equal(await to({ 'Accept-Language': 'ko-KR,ko;q=0.9,en;q=0.5' }), '/ko');
    assert.equal(await to({ 'Accept-Language': 'pt-BR' }), '/pt');
    assert.equal(await to({ 'Accept-Language': 'sw' }), '/ja');
    assert.equal(await to({ 'Accept-Language': 'ko', Cookie: 'lang=vi' }), '/vi');
    assert.equal(await to({ 'Accept-Language': 'ko', Cookie: 'lang=..%2F..' }), '/ko');
});

test('the language menu keeps page, query and place', () => withPage({}, async (page) => {
    await page.goto(`${city.url}/ja/data/AED?q=%E5%B0%8F%E5%AD%A6%E6%A0%A1`);
    for (const [path, name] of [['en', 'English'], ['easy', 'やさしい日本語'], ['zh', '简体中文'], ['pt', 'Português'], ['ja', '日本語']]) {
        await page.click('details.languages summary');
        await page.click(`details.languages a:text-is("${name}")`);
        const url = new URL(page.url());
        assert.equal(url.pathname, `/${path}/data/AED`);
        assert.equal(url.searchParams.get('q'), '小学校');
    }
}));

test('every language has its own texts and lang attribute; easy Japanese has readings', () => withPage({}, async (page) => {
    const titles = new Set();
    for (const language of languages) {
        await page.goto(`${city.url}/${language}/about`);
        titles.add(await page.title());
        const lang = await page.getAttribute('html', 'lang');
        assert.equal(lang, { easy: 'ja', zh: 'zh-Hans' }[language] ?? language);
        assert.equal(await page.locator('ruby').count() > 0, language === 'easy');
        assert.doesNotMatch(await page.textContent('body'), /[｜《》]/);
    }
    assert.equal(titles.size, languages.length);
}));

test('with the keyboard alone: skip link, menu, search, table, download', () => withPage({ acceptDownloads: true }, async (page) => {
    const focused = () => page.evaluate(() => document.activeElement.innerText.trim() || document.activeElement.id);
    const tabTo = async (text) => {
        for (let i = 0; i < 60; i++) {
            await page.keyboard.press('Tab');
            if (await focused() === text) return;
        }
        assert.fail(`no way to "${text}" by Tab`);
    };
    await page.goto(`${city.url}/en`);
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Skip to main content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await page.goto(`${city.url}/en`);
    await tabTo('Language');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), '日本語');
    await page.keyboard.press('Escape');
    assert.equal(await page.getAttribute('details.languages', 'open'), null);
    await tabTo('Data');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/en\/data$/);
    await tabTo('AEDs');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/en\/data\/AED$/);
    await tabTo('CSV');
    const download = page.waitForEvent('download');
    await page.keyboard.press('Enter');
    assert.equal((await download).suggestedFilename(), 'AED.csv');
    await tabTo('q');
    await page.keyboard.type('小学校');
    await page.keyboard.press('Enter');
    await page.waitForURL(/q=/);
    assert.match(await page.textContent('.result'), /found/);
    await page.focus('tbody a');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/en\/e\//);
}));

test('what has the focus can be seen', () => withPage({}, async (page) => {
    await page.goto(`${city.url}/ja/data/AED`);
    for (let i = 0; i < 12; i++) {
        await page.keyboard.press('Tab');
        const outline = await page.evaluate(() => parseFloat(getComputedStyle(document.activeElement).outlineWidth));
        assert.ok(outline >= 3, await page.evaluate(() => document.activeElement.outerHTML.slice(0, 100)));
    }
}));

test('without JavaScript everything but the map is there', () => withPage({ javaScriptEnabled: false }, async (page) => {
    await page.goto(`${city.url}/ja`);
    assert.ok(await page.locator('.figures li').count() >= 4);
    await page.click('details.languages summary');
    await page.click('details.languages a:text-is("English")');
    await page.click('nav a:text-is("Data")');
    await page.click('a:text-is("Weather")');
    await page.click('tbody a >> nth=0');
    assert.equal(await page.locator('svg.chart').count(), 1);
    await page.click('.chart-table summary');
    assert.ok(await page.locator('#chart-data tbody tr').count() > 50);
    assert.equal(await page.locator('svg.mini').count(), 1);
    await page.goto(`${city.url}/en/map`);
    assert.match(await page.innerText('.map-area'), /needs JavaScript/);
    await page.click('.layer-list >> nth=0');
    assert.ok(await page.locator('tbody tr').count() > 0);
}));

test('at 320 px nothing but tables scrolls sideways, in any language', () => withPage({ viewport: { width: 320, height: 640 } }, async (page) => {
    for (const language of languages)
        for (const path of ['', '/map', '/data', '/data/EvacuationShelter', '/e/urn:ngsi-ld:WeatherObserved:demo:01', '/about', '/console', '/console/import', '/console/sources',
            '/console/subscriptions', '/console/nodes', '/console/keys', '/console/policies', '/nothing']) {
            await page.goto(`${city.url}/${language}${path}`);
            const width = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(width <= 320, `/${language}${path} is ${width} px wide`);
        }
}));

test('on paper: no menus, no buttons, the table whole', () => withPage({}, async (page) => {
    await page.goto(`${city.url}/ja/data/AED`);
    await page.emulateMedia({ media: 'print' });
    for (const hidden of ['.site-nav', '.languages', '.search', '.downloads']) assert.equal(await page.locator(hidden).isVisible(), false, hidden);
    assert.equal(await page.locator('.table').isVisible(), true);
}));

test('pages obey their own content policy: no inline script or style anywhere', async () => {
    for (const path of ['', '/map', '/data/AED', '/e/urn:ngsi-ld:WeatherObserved:demo:01', '/console/import', '/console/subscriptions',
        '/console/nodes', '/console/keys', '/console/policies', '/nothing']) {
        const { text, headers } = await city.get(`/ja${path}`, { Accept: 'text/html' });
        assert.match(headers.get('content-security-policy'), /script-src 'self'; style-src 'self'/);
        assert.doesNotMatch(text, /<style|<script(?![^>]+src=)|\sstyle=|\son\w+=/i, path);
    }
});

test('the chart can be explored, with the figures of the table', () => withPage({}, async (page) => {
    const errors = watch(page);
    await page.goto(`${city.url}/en/e/urn:ngsi-ld:WeatherObserved:demo:02?attr=relativeHumidity&range=week`);
    assert.match(await page.textContent('#history h2'), /humidity/i);
    await page.click('button:text-is("Explore the chart")');
    await page.waitForSelector('.uplot canvas');
    assert.deepEqual(errors, []);
}));

test('a file with mistakes: progress, then a report of each bad row', () => withPage({}, async (page) => {
    const rows = Array.from({ length: 300 }, (_, i) => `施設${i},中央${i},36.${100 + i},140.11,玄関`);
    rows.splice(10, 0, ',名なし,36.1,140.1,玄関');
    rows.splice(20, 0, '位置なし施設,中央,あ,140.1,玄関');
    await page.goto(`${city.url}/ja/console`);
    await page.click('main a:text-is("ファイルを取り込む")');
    await page.setInputFiles('#file', { name: 'AED一覧.csv', mimeType: 'text/csv', buffer: Buffer.from(`\ufeff名称,住所,緯度,経度,設置位置\r\n${rows.join('\r\n')}\r\n`) });
    await page.selectOption('#kind', 'aed');
    await page.fill('#dataset', 'aed_browser');
    await page.click('form.form button');
    await page.waitForURL(/console\/import\/\d+$/);
    await page.waitForSelector('.report', { timeout: 20000 });
    const report = await page.innerText('.report');
    assert.match(report, /読み取った行\s*302/);
    const problems = await page.innerText('table');
    assert.match(problems, /12[\s\S]*必要な値がありません/);
    assert.match(await page.innerText('.entity-state'), /AED一覧\.csv[\s\S]*完了/);
    await page.goto(`${city.url}/ja/data/AED?q=%E6%96%BD%E8%A8%AD299`);
    assert.equal(await page.locator('tbody tr').count(), 1);
}));

test('a file that is none is refused with the reason', () => withPage({}, async (page) => {
    await page.goto(`${city.url}/en/console/import`);
    await page.setInputFiles('#file', { name: 'picture.csv', mimeType: 'text/csv', buffer: Buffer.from([0x89, 0x50, 0x4e, 0x47, 1, 2, 3, 0xff, 0xfe]) });
    await page.click('form.form button');
    await page.waitForSelector('[role=alert]', { timeout: 20000 });
    assert.match(await page.innerText('main'), /could not be imported/);
}));

test('what an entity is called cannot bring markup or script', () => withPage({}, async (page) => {
    const errors = watch(page);
    const name = '<img src=x onerror=alert(1)>｜<b>漢字《かんじ》"\'><script>alert(1)</script>';
    const id = 'urn:ngsi-ld:PublicToilet:evil';
    const sent = await city.post('/ngsi-ld/v1/entities', { id, type: 'PublicToilet', name: { type: 'Property', value: name }, url: { type: 'Property', value: 'javascript:alert(1)' }, note: { type: 'Property', value: 'http://example.org/"onclick="x' }, location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [140.1, 36.1] } } });
    assert.equal(sent.status, 201);
    for (const path of ['data/PublicToilet', `e/${id}`, `e/${id}/panel`]) {
        for (const language of ['ja', 'easy']) {
            await page.goto(`${city.url}/${language}/${path}`);
            assert.equal(await page.locator('img, main script').count(), 0);
            assert.equal(await page.locator('a[href^="javascript"], [onclick]').count(), 0);
        }
    }
    await page.goto(`${city.url}/ja/e/${id}`);
    assert.equal(await page.textContent('h1'), name);
    assert.deepEqual(errors.filter((text) => !/404/.test(text)), []);
}));

await run(async () => {
    await browser.close();
    await city.stop();
});

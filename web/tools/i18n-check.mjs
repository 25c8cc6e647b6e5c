// Checks the catalogues of texts against one another and against what uses them:
//   - every language has the same keys, with the same arguments
//   - templates and C sources ask only for keys that exist
//   - no key is there that nobody uses
// Keys made at run time are recognised by their first part.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const web = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const reference = 'ja';
// arena_printf("fresh.%s", ...) and the like in src/city/portal
const families = ['type.', 'attr.', 'value.', 'reason.', 'fresh.', 'figure.', 'shelter.', 'range.', 'error.', 'import.state.', 'subscription.',
    'delivery.change.', 'delivery.order.', 'node.state.', 'keys.state.', 'keys.right.', 'keys.why.', 'keys.error.', 'consent.scope.',
    'wrong.', 'notice.', 'amr.', 'ial.', 'state.', 'delegation.', 'scope.'];

function* files(dir, suffix) {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
        const file = path.join(dir, entry.name);
        if (entry.isDirectory()) yield* files(file, suffix);
        else if (file.endsWith(suffix)) yield file;
    }
}

// Names of arguments: what stands right after an opening brace at the level of a text.
function argumentsOf(text) {
    const names = new Set();
    const message = (i) => {
        while (i < text.length && text[i] !== '}') {
            if (text[i] === "'" && text[i + 1] === "'") i += 2;
            else if (text[i] === "'" && '{}'.includes(text[i + 1])) i = text.indexOf("'", i + 1) + 1;
            else if (text[i] === '{') i = argument(i + 1);
            else i++;
        }
        return i;
    };
    const argument = (i) => {
        const [, name] = /^\s*(\w+)/.exec(text.slice(i)) ?? [];
        if (!name) throw new Error(`bad argument in "${text}"`);
        names.add(name);
        while (i < text.length && text[i] !== '}') {
            if (text[i] === '{') i = message(i + 1) + 1;
            else i++;
        }
        return i + 1;
    };
    for (let i = 0; i < text.length;) i = message(i) + 1;
    return [...names].sort().join(' ');
}

const problems = [];
const catalogues = new Map();
for (const file of files(path.join(web, 'locales'), '.json')) catalogues.set(path.basename(file, '.json'), JSON.parse(readFileSync(file, 'utf8')));
const known = catalogues.get(reference);
for (const [tag, texts] of catalogues) {
    for (const key of Object.keys(known)) {
        if (!(key in texts)) problems.push(`${tag}: no text for ${key}`);
        else if (!key.startsWith('@') && argumentsOf(texts[key]) !== argumentsOf(known[key])) problems.push(`${tag}: ${key} takes {${argumentsOf(texts[key])}}, ${reference} takes {${argumentsOf(known[key])}}`);
        else if (texts[key].trim() === '' && !key.endsWith('.unit')) problems.push(`${tag}: ${key} is empty`);
    }
    for (const key of Object.keys(texts)) if (!(key in known)) problems.push(`${tag}: ${key} is not in ${reference}`);
    if (tag !== 'ja-x-yasashii') for (const [key, text] of Object.entries(texts)) if (/[｜《》]/.test(text)) problems.push(`${tag}: ${key} has marks of readings`);
}
// Easy Japanese: every kanji of a text has its reading above it.
for (const [key, text] of Object.entries(catalogues.get('ja-x-yasashii') ?? {}))
    if (!key.startsWith('@') && /\p{Script=Han}/u.test(text.replace(/｜[^《]+《[^》]+》/gu, ''))) problems.push(`ja-x-yasashii: ${key} has kanji without a reading: ${text}`);

const used = new Set();
for (const file of files(path.join(web, 'templates'), '.html'))
    for (const [, key] of readFileSync(file, 'utf8').matchAll(/\{\{t:([\w.@-]+)/g)) {
        used.add(key);
        if (!(key in known)) problems.push(`${path.relative(web, file)}: no text for ${key}`);
    }
// What looks like a key of a page's texts; names of files do too, and are none.
const pages = new Set(Object.keys(known).filter((key) => !key.startsWith('@')).map((key) => key.split('.')[0]));
const asked = new RegExp(`^(?:${[...pages].join('|')})(?:[.](?!(?:css|h|js)$)[a-z]+)+$`);
for (const file of files(path.resolve(web, '../src/city'), '.c'))
    for (const [, text] of readFileSync(file, 'utf8').matchAll(/"((?:[^"\\]|\\.)*)"/g)) {
        if (text in known) used.add(text);
        else if (asked.test(text)) problems.push(`${path.basename(file)}: no text for ${text}`);
    }
for (const key of Object.keys(known)) if (!key.startsWith('@') && !used.has(key) && !families.some((family) => key.startsWith(family))) problems.push(`${key} is used nowhere`);

for (const problem of problems) console.error(`i18n: ${problem}`);
if (problems.length) process.exit(1);

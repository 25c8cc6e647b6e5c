// Builds web/dist: scripts and styles by esbuild, each under a name with the hash of its content
// and compressed beside it, files that keep their name, and assets.json that says which is which.
// Does nothing when no source is newer than the last build.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const web = path.join(root, 'web');
const dist = path.join(web, 'dist');
const entries = [
    'styles/portal.css', 'styles/map.css', 'styles/chart.css',
    'islands/site.ts', 'islands/map.ts', 'islands/chart.ts', 'islands/console.ts', 'islands/passkey.ts',
];
const packages = ['@digital-go-jp/design-tokens', 'maplibre-gl', 'uplot'];

function* files(dir) {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
        const file = path.join(dir, entry.name);
        if (entry.isDirectory()) yield* files(file);
        else yield file;
    }
}

function upToDate() {
    const manifest = path.join(dist, 'assets.json');
    if (!existsSync(manifest)) return false;
    const built = statSync(manifest).mtimeMs;
    const sources = ['styles', 'islands', 'static', 'tools'].flatMap((dir) => [...files(path.join(web, dir))]);
    return [...sources, path.join(root, 'package-lock.json')].every((file) => statSync(file).mtimeMs <= built);
}

function licences() {
    return packages.map((name) => {
        const dir = path.join(root, 'node_modules', name);
        const { version, license } = JSON.parse(readFileSync(path.join(dir, 'package.json'), 'utf8'));
        const file = readdirSync(dir).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
        const text = file ? readFileSync(path.join(dir, file), 'utf8') : '';
        return `${name} ${version} (${license})\n\n${text.trim()}\n`;
    }).join(`\n${'-'.repeat(72)}\n\n`);
}

if (process.argv[2] !== '--force' && upToDate()) process.exit(0);

const result = await build({
    absWorkingDir: web,
    entryPoints: entries,
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['es2022', 'safari16'],
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'error',
    outdir: 'out',
    write: false,
    nodePaths: [path.join(root, 'node_modules')],
});

// Built aside and moved into place, so that a server never sees half of it.
const fresh = `${dist}.new`;
rmSync(fresh, { recursive: true, force: true });
mkdirSync(fresh, { recursive: true });
const put = (name, content) => {
    writeFileSync(path.join(fresh, name), content);
    if (content.length > 600) writeFileSync(path.join(fresh, `${name}.gz`), gzipSync(content, { level: 9 }));
};
const assets = {};
for (const { path: file, contents } of result.outputFiles) {
    const name = path.basename(file);
    // What a script imports as a style is a style sheet of its own; only those named above count.
    const entry = path.relative(path.join(web, 'out'), file);
    if (!entries.some((source) => source.replace(/\.ts$/, '.js') === entry)) continue;
    const hash = createHash('sha256').update(contents).digest('hex').slice(0, 10);
    const hashed = name.replace(/\.(\w+)$/, `-${hash}.$1`);
    put(hashed, contents);
    assets[name] = `/assets/${hashed}`;
}
for (const file of files(path.join(web, 'static'))) put(path.basename(file), readFileSync(file));
put('licences.txt', Buffer.from(licences()));
writeFileSync(path.join(fresh, 'assets.json'), JSON.stringify(assets, null, 1));
rmSync(dist, { recursive: true, force: true });
renameSync(fresh, dist);
const sizes = Object.values(assets).map((url) => {
    const file = path.join(dist, path.basename(url));
    return `${path.basename(url)} ${(statSync(existsSync(`${file}.gz`) ? `${file}.gz` : file).size / 1024).toFixed(1)} KB`;
});
console.log(`web: ${sizes.join(', ')} (compressed)`);

// How far an import is: asks until it is over, then shows the report. A new key is copied by a button.

interface Progress {
    state: 'running' | 'done' | 'refused';
    done: number;
    total: number;
}

const ASK_MS = 400;

async function follow(box: HTMLElement, url: string): Promise<void> {
    const bar = box.querySelector('progress');
    const text = document.getElementById('progress-text');
    const number = new Intl.NumberFormat(document.documentElement.lang);
    for (;;) {
        const answer = await fetch(url);
        if (!answer.ok) return;
        const at = (await answer.json()) as Progress;
        if (at.state !== 'running') {
            location.reload();
            return;
        }
        if (bar && at.total > 0) bar.value = (100 * at.done) / at.total;
        if (text) text.textContent = at.total > 0 ? `${number.format(at.done)} / ${number.format(at.total)}` : '';
        await new Promise((go) => setTimeout(go, ASK_MS));
    }
}

const box = document.getElementById('progress');
if (box?.dataset['progress']) void follow(box, box.dataset['progress']);

// Without this, the key stands in a field to be marked by hand.
const made = document.getElementById('made-key');
if (made instanceof HTMLInputElement) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'button button-line';
    button.textContent = made.dataset['copy'] ?? '';
    button.addEventListener('click', () => {
        made.select();
        void navigator.clipboard.writeText(made.value).then(() => {
            button.textContent = made.dataset['copied'] ?? '';
        });
    });
    made.addEventListener('focus', () => made.select());
    made.after(button);
}

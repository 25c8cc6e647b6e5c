# Thin front of the Meson build; the build itself is in the meson.build files.
BUILD ?= build
PORT  ?= 8080
DATA  ?= var/city

.PHONY: run build test bench lint fuzz clean web

build: web
	@scripts/setup
	@[ -d $(BUILD)/meson-info ] || meson setup $(BUILD) --buildtype=release -Dtests=false >/dev/null
	@ninja -C $(BUILD) --quiet src/app/marugoto
	@ln -sf src/app/marugoto $(BUILD)/marugoto

web:
	@scripts/setup
	@scripts/web

run: build
	$(BUILD)/marugoto serve --data $(DATA) --port $(PORT) --demo --link.journal_hours=24

test:
	@scripts/setup --test
	@scripts/test

bench: build
	@scripts/setup --test
	@scripts/bench

lint:
	@scripts/setup --test
	@scripts/lint

fuzz:
	@scripts/setup --test
	@scripts/fuzz

clean:
	rm -rf build build-* web/dist

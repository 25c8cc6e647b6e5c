#!/usr/bin/env perl
# The quick checks of scripts/lint as tests: layout, banned functions, headers, types, documents.
use strict;
use warnings;
use Test::More;

for my $check (qw(format banned headers layers paths types docs)) {
    my $out = `scripts/lint $check 2>&1`;
    ok($? == 0, $check) or diag($out);
}
done_testing();

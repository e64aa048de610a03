#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Changes every other file of a folder, all of it: demo-change.sh FOLDER
set -eu
cd "$1"
find . -type f -print0 | sort -z | perl -0 -ne '
	chomp;
	next if $. % 2;
	open(my $f, "+<", $_) or die "$_: $!";
	my $text = do { local $/; <$f> } // "";
	$text =~ tr/a-zA-Z/n-za-mN-ZA-M/;
	seek($f, 0, 0) and print $f $text, "changed $.\n" and close($f) or die "$_: $!";
'

# SPDX-License-Identifier: GPL-2.0-only
# The damage curve of repair.dat:
#	gnuplot -e 'data = "..."; image = "..."' repair.gp
set terminal svg size 900,600 font "sans,12" background "white" noenhanced
set output image
set logscale xy
set format x "%.2g %%"
set format y "%.2g %%"
set grid
set key left top
set title "Mappings lost after repair"
set xlabel "random metadata blocks destroyed, share of those in use"
set ylabel "mappings lost"
plot data using (100 * $1):(100 * $3) with linespoints lw 2 title "thin2_repair", \
	data using (100 * $1):(100 * $4) with linespoints lw 2 \
		title "thin2_repair, space maps destroyed, too", \
	data using (100 * $1):(100 * $5) with linespoints lw 2 title "v1, thin_repair", \
	data using (100 * $1):(100 * $2) with lines dashtype 2 lc rgb "black" \
		title "what the leaves that were hit mapped"

# SPDX-License-Identifier: GPL-2.0-only
# Ratios of ratios.dat (as powers of two) as bars:
#	gnuplot -e 'data = "..."; image = "..."' plot.gp
set terminal svg size 900,760 font "sans,12" background "white" noenhanced
set output image
set title "How much better thin2 does (left of 1: worse)"
set key below
set xrange [-8:8]
set xtics ("1/256" -8, "1/64" -6, "1/16" -4, "1/4" -2, "1/2" -1, "1" 0, \
	   "2" 1, "4" 2, "16" 4, "64" 6, "256" 8)
set grid x
set offsets 0, 0, 0.6, 0.6
set yrange [*:*] reverse
set style fill solid 0.9 noborder
set arrow from 0, graph 0 to 0, graph 1 nohead lw 1.5 lc rgb "black" front
set lmargin 42
set datafile missing "?"
h = 0.18
plot data using (0):($0 - 0.2):(0):2:($0 - 0.2 - h):($0 - 0.2 + h):ytic(1) \
	with boxxyerror lc rgb "#888888" title "than dm-linear", \
     data using 2:($0 - 0.2):3:4 with xerrorbars pt 0 lc rgb "black" notitle, \
     data using (0):($0 + 0.2):(0):5:($0 + 0.2 - h):($0 + 0.2 + h) \
	with boxxyerror lc rgb "#2060a0" title "than dm-thin version 1", \
     data using 5:($0 + 0.2):6:7 with xerrorbars pt 0 lc rgb "black" notitle

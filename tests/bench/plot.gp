# SPDX-License-Identifier: GPL-2.0-only
# Ratios of ratios.dat as bars: gnuplot -e 'data = "..."; image = "..."' plot.gp
set terminal svg size 900,760 font "sans,12" background "white"
set output image
set title "thin2 compared with dm-linear and dm-thin v1 (above 1: thin2 does better)"
set key below
set logscale x 2
set xrange [0.0625:*]
set format x "%g"
set xtics 2
set grid x
set offsets 0, 0, 0.6, 0.6
set yrange [*:*] reverse
set style fill solid 0.9 noborder
set arrow from 1, graph 0 to 1, graph 1 nohead lw 1.5 lc rgb "black" front
set lmargin 42
set datafile missing "?"
low = 0.0625
h = 0.18
plot data using (low):($0 - 0.2):(low):2:($0 - 0.2 - h):($0 - 0.2 + h):ytic(1) \
	with boxxyerror lc rgb "#888888" title "thin2 / dm-linear", \
     data using 2:($0 - 0.2):3:4 with xerrorbars pt 0 lc rgb "black" notitle, \
     data using (low):($0 + 0.2):(low):5:($0 + 0.2 - h):($0 + 0.2 + h) \
	with boxxyerror lc rgb "#2060a0" title "thin2 / v1", \
     data using 5:($0 + 0.2):6:7 with xerrorbars pt 0 lc rgb "black" notitle

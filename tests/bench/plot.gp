# SPDX-License-Identifier: GPL-2.0-only
# Bars of ratios, given as powers of two:
#	gnuplot -e 'data = "..."; image = "..."; what = "ratios"' plot.gp
# what: "ratios" (beside other targets) or "goals" (beside what is wanted)
rows = int(system("wc -l <" . data))
set terminal svg size 900,(140 + 26 * rows) font "sans,12" background "white" noenhanced
set output image
set xrange [-8:8]
set xtics ("1/256" -8, "1/64" -6, "1/16" -4, "1/4" -2, "1/2" -1, "1" 0, \
	   "2" 1, "4" 2, "16" 4, "64" 6, "256" 8)
set grid x
set offsets 0, 0, 0.6, 0.6
set yrange [*:*] reverse
set style fill solid 0.9 noborder
set arrow from 0, graph 0 to 0, graph 1 nohead lw 1.5 lc rgb "black" front
set lmargin 46
set datafile missing "?"
h = 0.18
if (what eq "goals") {
	set title "How much better than what is wanted (left of 1: short of it)"
	set nokey
	plot data using (0):0:(0):2:($0 - h):($0 + h):ytic(1) \
		with boxxyerror lc rgb "#2060a0"
} else {
	set title "How much better thin2 does (left of 1: worse)"
	set key below
	plot data using (0):($0 - 0.2):(0):2:($0 - 0.2 - h):($0 - 0.2 + h):ytic(1) \
		with boxxyerror lc rgb "#888888" title "than dm-linear", \
	     data using 2:($0 - 0.2):3:4 with xerrorbars pt 0 lc rgb "black" notitle, \
	     data using (0):($0 + 0.2):(0):5:($0 + 0.2 - h):($0 + 0.2 + h) \
		with boxxyerror lc rgb "#2060a0" title "than dm-thin version 1", \
	     data using 5:($0 + 0.2):6:7 with xerrorbars pt 0 lc rgb "black" notitle
}

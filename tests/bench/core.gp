# SPDX-License-Identifier: GPL-2.0-only
# Growth curves of core.dat:
#	gnuplot -e 'data = "..."; image = "..."' core.gp
set terminal svg size 900,900 font "sans,12" background "white" noenhanced
set output image
set multiplot layout 2,1
set logscale xy
set format x "%.0e"
set grid
set key left top
set xlabel "ranges (thins and snapshots: a tenth)"
stats data using 1 nooutput
first = STATS_min
stats data using 7 every ::0::0 nooutput
nlogn(x, y) = y * x * log(x) / (first * log(first))
set title "Time"
set ylabel "seconds of CPU"
plot for [i = 2:8] data using 1:(column(i) > 0.002 ? column(i) : NaN) \
	with linespoints title word("x create record merge snapshots check dump dump_devices", i), \
	nlogn(x, 0.01) with lines dashtype 2 lc rgb "black" title "n log n"
set title "Size and memory"
set ylabel "MiB"
plot for [i = 9:11] data using 1:i \
	with linespoints title word("x x x x x x x x metadata check_mem dump_mem", i), \
	nlogn(x, 0.5) with lines dashtype 2 lc rgb "black" title "n log n"
unset multiplot

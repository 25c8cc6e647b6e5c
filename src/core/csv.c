/* csv.c */
typedef int csv_empty;

{# The day of the build: a fact counts as it stands at 00:00 Europe/Paris of that day. Always given, never the clock's. #}
{% macro as_of() -%}
    date '{{ var("as_of") }}'
{%- endmacro %}


{# C-10.1: data of access to the platform are due 30 days after their day, and gone once that day has come. #}
{% macro access_data_alive(day) -%}
    {{ as_of() }} < {{ day }} + {{ var("access_data_days") }}
{%- endmacro %}

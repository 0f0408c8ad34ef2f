{# C-10.7: which totals may stand beside their shown cells. Steps of `with` behind those of `shown_cells`, the last of them `shown_totals`.

Anybody can take the shown cells from a total. That is safe if nothing of it was left out, or if what was left out is enough members as far as
the figures say; where members of several cells come to more than the total, the figures say nothing of it. #}
{% macro shown_totals(acts, parents) -%}
    {%- set by = parents | join(', ') -%}
    totals as (

        select
            {{ by }},
            count(distinct member) as member_count
        from {{ acts }}
        group by {{ by }}
        having count(distinct member) >= {{ cell() }}

    ),

    shown_sums as (

        select
            {{ by }},
            sum(member_count) as member_count,
            count({{ parents[0] }}) as cell_count
        from shown_cells
        group by {{ by }}

    ),

    cell_counts as (

        select
            {{ by }},
            count({{ parents[0] }}) as cell_count
        from cells
        group by {{ by }}

    ),

    shown_totals as (

        select
            {% for parent in parents %}totals.{{ parent }},
            {% endfor -%}
            totals.member_count
        from totals
        inner join cell_counts
            on
                {% for parent in parents %}totals.{{ parent }} = cell_counts.{{ parent }}{{ " and " if not loop.last }}{% endfor %}
        left join shown_sums
            on
                {% for parent in parents %}totals.{{ parent }} = shown_sums.{{ parent }}{{ " and " if not loop.last }}{% endfor %}
        where
            shown_sums.cell_count is null
            or shown_sums.cell_count = cell_counts.cell_count
            or totals.member_count < shown_sums.member_count
            or totals.member_count - shown_sums.member_count >= {{ cell() }}

    )
{%- endmacro %}
